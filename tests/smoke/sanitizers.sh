# bevor-test: timeout=120
# Programs under sanitizers, which want their shadow memory where they always have it.
cat > race.c <<'C'
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
static int shared, done;
static void *more(void *arg) { shared++; __atomic_store_n(&done, 1, __ATOMIC_RELAXED); return malloc(100000); }
int main(void) {
    pthread_t t; pthread_create(&t, 0, more, 0);
    while (!__atomic_load_n(&done, __ATOMIC_RELAXED)) sched_yield();
    shared++; pthread_join(t, 0); return 0;
}
C
gcc -w -fsanitize=thread -g race.c -o race; gcc -w -fsanitize=thread -no-pie -g race.c -o fixed
for i in 1 2 3 4 5 6; do ./race 2>&1 | grep -E 'FATAL|reported'; ./fixed 2>&1 | grep -E 'FATAL|reported'; done
echo 'int main(int c, char **v) { char *p = __builtin_malloc(10); p[9 + c] = 1; return 0; }' > over.c
gcc -w -fsanitize=address -g over.c -o over; ASAN_OPTIONS=detect_leaks=0 ./over 2>&1 | grep -oE 'heap-buffer-overflow|WRITE of size 1' | head -2
echo 'int main(int c, char **v) { int x = 0x7fffffff; x += c; return x == c; }' > wrap.c
gcc -w -fsanitize=undefined wrap.c -o wrap; ./wrap 2>&1; echo $?
