/* System calls and faults with the stack pointer anywhere. bevor-test: exit=0 timeout=60 */
#include "t.h"
int main(void)
{
	unsigned long places[] = { 0, 8, 0x1000, 0x7ffffffff000, 0x7fffffffffff, 0x7effffff0000, 0x7f0000000000, 0x8000000000000000, ~7UL, ~0UL };
	for (unsigned i = 0; i < sizeof places / sizeof *places; i++) {
		CHILD("exit", __asm__ volatile("mov %0, %%rsp; mov $231, %%eax; mov $3, %%edi; syscall" ::"r"(places[i])));
		CHILD("getpid then exit", __asm__ volatile("mov %0, %%rsp; mov $39, %%eax; syscall; mov $110, %%eax; syscall; mov $231, %%eax; mov $4, %%edi; syscall" ::"r"(places[i])));
		CHILD("fault", __asm__ volatile("mov %0, %%rsp; xor %%eax, %%eax; mov %%eax, (%%rax)" ::"r"(places[i])));
		CHILD("fault with handler", {
			signal(SIGSEGV, (void *)main);
			__asm__ volatile("mov %0, %%rsp; xor %%eax, %%eax; mov %%eax, (%%rax)" ::"r"(places[i]));
		});
		CHILD("fork then exit", __asm__ volatile("mov %0, %%rsp; mov $57, %%eax; syscall; mov $231, %%eax; mov $5, %%edi; syscall" ::"r"(places[i])));
		CHILD("handler on a stack that ends nowhere", {
			stack_t stack = { (void *)places[i], 0, ~0UL };
			struct sigaction action = { .sa_handler = (void *)main, .sa_flags = SA_ONSTACK };
			sigaltstack(&stack, NULL);
			sigaction(SIGUSR1, &action, NULL);
			raise(SIGUSR1);
		});
		CHILD("sigreturn", __asm__ volatile("mov %0, %%rsp; mov $15, %%eax; syscall" ::"r"(places[i])));
	}
	return 0;
}
