# bevor-test: timeout=120
# gcc compiles and links a program with threads, which then runs.
cat > t.c <<'C'
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
static long total; static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static void *work(void *a) { long s = 0; for (long i = 0; i < 1000000; i++) s += i % ((long)a + 2); pthread_mutex_lock(&m); total += s; pthread_mutex_unlock(&m); return a; }
int main(void) { pthread_t t[8]; for (long i = 0; i < 8; i++) pthread_create(&t[i], 0, work, (void *)i); for (int i = 0; i < 8; i++) pthread_join(t[i], 0); printf("%ld\n", total); return total % 100; }
C
gcc -O2 -Wall -pthread -o t t.c && ./t; echo $?
gcc -static -O1 -pthread -o ts t.c && ./ts; echo $?
gcc -c -g t.c -o t.o && nm t.o | grep -c ' T '; ar rcs lib.a t.o; gcc -o t2 lib.a -pthread && ./t2
gcc -shared -fPIC -x c -o libx.so - <<< 'int answer(void) { return 42; }'
gcc -x c -o u - -L. -lx -Wl,-rpath,'$ORIGIN' <<< 'int answer(void); int main(void) { return answer(); }' && ./u; echo $?
gcc -E t.c | wc -l; gcc -S -o - t.c | grep -c call
gcc -x c - 2> err <<< 'int main( {'; echo $?; grep -c error err
for i in 1 2 3 4; do gcc -O2 -c t.c -o p$i.o & done; wait; cmp p1.o p4.o && echo same
