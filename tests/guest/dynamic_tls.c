/* A dynamic program: TLS in libraries, dlopen, locale, qsort, stdio. bevor-test: user=both flags=-ldl,-lm */
#include "t.h"
#include <dlfcn.h>
#include <locale.h>
#include <math.h>
#include <netdb.h>
#include <pwd.h>

static __thread int counters[100];

static void *count(void *arg)
{
	for (int i = 0; i < 1000; i++)
		counters[i % 100]++;
	return (void *)(long)counters[7];
}

int main(void)
{
	void *lib = dlopen("libm.so.6", RTLD_NOW);
	CHECK(lib != NULL);
	double (*f)(double) = (double (*)(double))dlsym(lib, "cbrt");
	out("%.6f\n", f(27.0));
	CHECK(dlopen("libnothing.so", RTLD_NOW) == NULL);
	pthread_t thread;
	void *result;
	pthread_create(&thread, NULL, count, NULL);
	pthread_join(thread, &result);
	V((long)result);
	V(counters[7]);
	struct passwd *pw = getpwuid(0);
	out("%s\n", pw ? pw->pw_name : "nobody");
	setlocale(LC_ALL, "C.UTF-8");
	char text[100];
	snprintf(text, sizeof text, "%.10f %g %a", M_PI, 1e100, 0.5);
	out("%s\n", text);
	FILE *file = tmpfile();
	for (int i = 0; i < 10000; i++)
		fprintf(file, "%d\n", i * i);
	rewind(file);
	long sum = 0, value;
	while (fscanf(file, "%ld", &value) == 1)
		sum += value;
	V(sum);
	char **lots = calloc(10000, sizeof *lots);
	for (int i = 0; i < 10000; i++)
		lots[i] = malloc(i % 3000 + 1);
	for (int i = 0; i < 10000; i += 2)
		free(lots[i]);
	for (int i = 0; i < 10000; i += 2)
		lots[i] = malloc(20000);
	out("malloc\n");
	return 0;
}
