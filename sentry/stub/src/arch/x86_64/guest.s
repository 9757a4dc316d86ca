# Guest threads between two runs of guest code. No stack; while here:
#   r15  the thread area              r14d number of the last run
# All general registers of the guest are in up.regs; the extended ones are in the CPU.

    .section .guest, "ax", @progbits

# The host's number of this processor, in ecx; flags are lost. Linux keeps it where both instructions
# find it.
    .macro host_cpu
    cmp qword ptr [rip + stub_base + {CONFIG} + {RDPID}], 0
    je 8f
    .byte 0xf3, 0x0f, 0xc7, 0xf9    # rdpid rcx
    jmp 9f
8:  mov ecx, 0x7b
    lsl ecx, ecx
9:  and ecx, 0xfff
    .endm

# Handler of all signals: rdi signal, rsi siginfo, rdx ucontext. Signals are not blocked here, so
# that leaving needs no rt_sigreturn; what arrives meanwhile finds an instruction pointer in the stub.
    .globl signal_handler
signal_handler:
    mov r15, rsp
    and r15, -{AREA}
    mov r10, [rdx + 40 + 16*8]      # rip
    lea r11, [rip + stub_base]
    mov rax, r10
    sub rax, r11
    lea rcx, [rip + stub_end]
    sub rcx, r11
    cmp rax, rcx
    jb signal_in_stub
    cmp edi, {KICK_SIGNAL}
    je signal_kick
    cmp dword ptr [rsi + 8], 0      # si_code: sent by a process, not raised by the guest
    jle signal_return
signal_save:
    mov rax, [rdx + 40 + 0*8]
    mov [r15 + {UP_REGS} + {R8}], rax
    mov rax, [rdx + 40 + 1*8]
    mov [r15 + {UP_REGS} + {R9}], rax
    mov rax, [rdx + 40 + 2*8]
    mov [r15 + {UP_REGS} + {R10}], rax
    mov rax, [rdx + 40 + 3*8]
    mov [r15 + {UP_REGS} + {R11}], rax
    mov rax, [rdx + 40 + 4*8]
    mov [r15 + {UP_REGS} + {R12}], rax
    mov rax, [rdx + 40 + 5*8]
    mov [r15 + {UP_REGS} + {R13}], rax
    mov rax, [rdx + 40 + 6*8]
    mov [r15 + {UP_REGS} + {R14}], rax
    mov rax, [rdx + 40 + 7*8]
    mov [r15 + {UP_REGS} + {R15}], rax
    mov rax, [rdx + 40 + 8*8]
    mov [r15 + {UP_REGS} + {RDI}], rax
    mov rax, [rdx + 40 + 9*8]
    mov [r15 + {UP_REGS} + {RSI}], rax
    mov rax, [rdx + 40 + 10*8]
    mov [r15 + {UP_REGS} + {RBP}], rax
    mov rax, [rdx + 40 + 11*8]
    mov [r15 + {UP_REGS} + {RBX}], rax
    mov rax, [rdx + 40 + 12*8]
    mov [r15 + {UP_REGS} + {RDX}], rax
    mov rax, [rdx + 40 + 13*8]
    mov [r15 + {UP_REGS} + {RAX}], rax
    mov rax, [rdx + 40 + 14*8]
    mov [r15 + {UP_REGS} + {RCX}], rax
    mov rax, [rdx + 40 + 15*8]
    mov [r15 + {UP_REGS} + {RSP}], rax
    mov [r15 + {UP_REGS} + {RIP}], r10
    mov rax, [rdx + 40 + 17*8]
    mov [r15 + {UP_REGS} + {EFLAGS}], rax
    mov rax, [rdx + 40 + 18*8]      # cs, gs, fs, ss: 16 bits each
    movzx ecx, ax
    mov [r15 + {UP_REGS} + {CS}], rcx
    shr rax, 48
    mov [r15 + {UP_REGS} + {SS}], rax
    rdfsbase rax
    mov [r15 + {UP_REGS} + {FS_BASE}], rax
    rdgsbase rax
    mov [r15 + {UP_REGS} + {GS_BASE}], rax
signal_report:
    mov [r15 + {UP_SIG}], edi
    mov eax, [rsi + 8]
    mov [r15 + {UP_CODE}], eax
    mov rax, [rsi + 16]
    mov [r15 + {UP_ADDR}], rax
    mov rax, [rsi + 24]             # si_syscall and si_arch
    mov [r15 + {UP_NR}], rax
    mov rax, [rdx + 40 + 20*8]
    mov [r15 + {UP_TRAPNO}], rax
    mov rax, [rdx + 40 + 19*8]
    mov [r15 + {UP_ERR}], rax
    mov rax, [rdx + 40 + 22*8]
    mov [r15 + {UP_CR2}], rax
    host_cpu
    mov [r15 + {UP_CPU}], ecx
    mov rcx, [rdx + 40 + 23*8]      # the extended state of the guest goes back into the CPU
    mov eax, -1
    mov edx, -1
    xrstor64 [rcx]
    jmp guest_park

signal_kick:
    mov eax, [r15 + {DOWN_KICK}]
    cmp eax, [r15 + {DOWN_GO}]
    je signal_save
# Nothing to do: back to where the signal came. Not by rt_sigreturn, with which a guest could change its
# signal mask and its signal stack. What a later signal writes lies below the stack pointer, and what is
# read here above it.
    .globl signal_return
signal_return:
    mov rbx, rdx
    mov rcx, [rbx + 40 + 23*8]
    mov eax, -1
    mov edx, -1
    xrstor64 [rcx]
    mov rax, [rbx + 40 + 18*8]      # cs, gs, fs, ss: 16 bits each
    mov rcx, rax
    shr rcx, 48
    movzx eax, ax
    push rcx
    push qword ptr [rbx + 40 + 15*8]
    push qword ptr [rbx + 40 + 17*8]
    push rax
    push qword ptr [rbx + 40 + 16*8]
    mov r8,  [rbx + 40 + 0*8]
    mov r9,  [rbx + 40 + 1*8]
    mov r10, [rbx + 40 + 2*8]
    mov r11, [rbx + 40 + 3*8]
    mov r12, [rbx + 40 + 4*8]
    mov r13, [rbx + 40 + 5*8]
    mov r14, [rbx + 40 + 6*8]
    mov r15, [rbx + 40 + 7*8]
    mov rdi, [rbx + 40 + 8*8]
    mov rsi, [rbx + 40 + 9*8]
    mov rbp, [rbx + 40 + 10*8]
    mov rdx, [rbx + 40 + 12*8]
    mov rax, [rbx + 40 + 13*8]
    mov rcx, [rbx + 40 + 14*8]
    mov rbx, [rbx + 40 + 11*8]
    iretq                           # takes rip, cs, eflags, rsp and ss
    .globl no_restorer
no_restorer:                        # the host wants one named; no handler returns
    ud2

signal_in_stub:
    cmp edi, 5                      # SIGTRAP: the guest single-steps, the stub is passed over
    je signal_return
    cmp dword ptr [rsi + 8], 0
    jg signal_bad_store
    cmp edi, {KICK_SIGNAL}
    jne signal_return
    lea rax, [rip + guest_restore]
    cmp r10, rax
    jb signal_in_answer
    lea rax, [rip + guest_restore_end]
    cmp r10, rax
    jae signal_in_answer
    mov eax, [r15 + {DOWN_KICK}]    # about to enter the guest, whose state is still in up.regs
    cmp eax, [r15 + {DOWN_GO}]
    jne signal_return
    jmp signal_report

# A store of an answer failed: the call is the sentry's. Any other fault or a refused call of the stub:
# the sentry ends the guest.
signal_bad_store:
    lea rax, [rip + answer_stores]
    cmp r10, rax
    jb signal_save
    lea rcx, [rip + answer_stores_end]
    cmp r10, rcx
    jae signal_save
    lea rax, [rip + answer_not]
    mov [rdx + 40 + 16*8], rax
    jmp signal_return

# About to leave with an answer of the stub's own: that part is done again, and looks at the kick.
signal_in_answer:
    lea rax, [rip + patched_answer]
    cmp r10, rax
    jb signal_return
    lea rcx, [rip + patched_answer_end]
    cmp r10, rcx
    jae signal_return
    mov [rdx + 40 + 16*8], rax
    jmp signal_return

# Entered from a trampoline (see platform/src/arch/x86_64/patch.rs) in place of a `syscall`
# instruction: r11 is the trampoline's tail, rcx is free, everything else is the guest's, flags and
# red zone included. First: is the GS base a thread area? Guests may have set it; no flag may change.
    .globl guest_patched
guest_patched:
    rdgsbase rcx
    bswap rcx
    mov ecx, ecx
    .byte 0x8d, 0x89                # lea ecx, [rcx - bswap(high half of the window)]
    .globl guest_window
guest_window:
    .long 0                         # written by the sentry before it seals the image
    jrcxz 1f
    jmp patched_trap
1:  rdgsbase rcx
    movzx ecx, cx
    jrcxz 2f
patched_trap:                       # no: the system call goes the slow way, from the trampoline
    lea r11, [r11 - {T_TRAP}]
    jmp r11
2:  mov gs:[{UP_REGS} + {RSP}], rsp
    mov rsp, gs:[{DOWN_SCRATCH}]
    pushfq
    cmp rax, {NR_ANSWERS}
    jae patched_high
    mov rcx, gs:[{DOWN_ANSWERS} + rax*8]
    test rcx, rcx
    jz patched_call
    bt rcx, {SPECIAL}
    jc patched_special
3:  mov eax, ecx
patched_answer:                     # may be done again from here: see signal_in_answer
    mov ecx, gs:[{DOWN_KICK}]
    cmp ecx, gs:[{DOWN_GO}]
    je patched_kicked
    mov rsp, gs:[{DOWN_SCRATCH}]
    lea rsp, [rsp - 8]
    popfq
    mov rsp, gs:[{UP_REGS} + {RSP}]
    mov rcx, [r11 - {T_ORIGINAL}]
    jmp r11
patched_answer_end:

patched_special:
    bt rcx, {NAMES}
    jc answer_names
    bt rcx, {IDS}
    jc answer_ids
    bt rcx, {YIELD}
    jc answer_yield
    test edi, edi                   # answered for the caller itself only
    jz 3b
    jmp patched_call

patched_high:
    cmp rax, {GETCPU}
    jne patched_call
    host_cpu
    mov gs:[{UP_CPU}], ecx          # for the sentry, should it have to answer
    cmp dword ptr gs:[{DOWN_GETCPU}], 0
    je patched_call
    cmp ecx, {NR_CPUS}
    jae patched_call
    mov gs:[{UP_REGS} + {RAX}], rax
    movzx eax, word ptr gs:[{DOWN_CPUS} + rcx*2]
    sub eax, 1                      # the sandbox's number of it
    jb answer_not
    mov rcx, {GUEST_END} - 4
    cmp rdi, rcx
    ja answer_not
    cmp rsi, rcx
    ja answer_not
    jmp answer_cpu

# sched_yield(2). What the host's call destroys, r11 and rcx, matters only here.
answer_yield:
    mov gs:[{UP_TAIL}], r11
    mov eax, 24
    syscall
    .globl guest_yield_ip
guest_yield_ip:
    mov r11, gs:[{UP_TAIL}]
    xor eax, eax
    jmp patched_answer

# uname(2): the name fits in 48 words and a last one, which overlaps.
answer_names:
    mov gs:[{UP_REGS} + {RAX}], rax
    mov rcx, {GUEST_END} - {NAMES_LEN}
    cmp rdi, rcx
    ja answer_not
    xor eax, eax
    jmp answer_stores

# getresuid(2), getresgid(2): the answer is where the ids are.
answer_ids:
    mov gs:[{UP_REGS} + {RAX}], rax
    mov eax, ecx
    mov rcx, {GUEST_END} - 4
    cmp rdi, rcx
    ja answer_not
    cmp rsi, rcx
    ja answer_not
    cmp rdx, rcx
    ja answer_not
    jmp answer_three

# Answers that are written to the guest's memory, at addresses below its last: a fault here, whatever
# its reason, ends in answer_not (see signal_bad_store). All that is lost is rax, which up.regs has.
answer_stores:
    mov rcx, gs:[{DOWN_NAMES} + rax]
    mov [rdi + rax], rcx
    add eax, 8
    cmp eax, {NAMES_LEN} - 8
    jb answer_stores
    mov rcx, gs:[{DOWN_NAMES} + {NAMES_LEN} - 8]
    mov [rdi + {NAMES_LEN} - 8], rcx
    jmp 7f
answer_three:
    mov ecx, gs:[{DOWN_IDS} + rax]
    mov [rdi], ecx
    mov ecx, gs:[{DOWN_IDS} + rax + 4]
    mov [rsi], ecx
    mov ecx, gs:[{DOWN_IDS} + rax + 8]
    mov [rdx], ecx
    jmp 7f
answer_cpu:
    test rdi, rdi
    jz 6f
    mov [rdi], eax
6:  test rsi, rsi
    jz 7f
    mov dword ptr [rsi], 0          # one node
7:  xor eax, eax
    jmp patched_answer
answer_stores_end:
answer_not:
    mov rax, gs:[{UP_REGS} + {RAX}]
    jmp patched_call

patched_kicked:
    mov dword ptr gs:[{UP_SIG}], {KICK_SIGNAL}
    jmp patched_save
patched_call:
    mov dword ptr gs:[{UP_SIG}], {PATCHED}
patched_save:
    mov gs:[{UP_REGS} + {R15}], r15
    rdgsbase r15
    mov rcx, gs:[{DOWN_SCRATCH}]
    mov rcx, [rcx - 8]
    mov [r15 + {UP_REGS} + {EFLAGS}], rcx
    mov [r15 + {UP_REGS} + {R11}], rcx
    mov rcx, [r11 - {T_ORIGINAL}]
    mov [r15 + {UP_REGS} + {RIP}], rcx
    mov [r15 + {UP_REGS} + {RCX}], rcx
    mov [r15 + {UP_TAIL}], r11
    mov [r15 + {UP_REGS} + {RAX}], rax
    mov [r15 + {UP_REGS} + {RDI}], rdi
    mov [r15 + {UP_REGS} + {RSI}], rsi
    mov [r15 + {UP_REGS} + {RDX}], rdx
    mov [r15 + {UP_REGS} + {R10}], r10
    mov [r15 + {UP_REGS} + {R8}], r8
    mov [r15 + {UP_REGS} + {R9}], r9
    mov [r15 + {UP_REGS} + {RBX}], rbx
    mov [r15 + {UP_REGS} + {RBP}], rbp
    mov [r15 + {UP_REGS} + {R12}], r12
    mov [r15 + {UP_REGS} + {R13}], r13
    mov [r15 + {UP_REGS} + {R14}], r14
    mov [r15 + {UP_REGS} + {GS_BASE}], r15
    rdfsbase rcx
    mov [r15 + {UP_REGS} + {FS_BASE}], rcx
    mov qword ptr [r15 + {UP_REGS} + {CS}], 0x33
    mov qword ptr [r15 + {UP_REGS} + {SS}], 0x2b
    cld

# Publishes the event and waits for the next run.
guest_park:
    rdtsc
    shl rdx, 32
    or rax, rdx
    mov [r15 + {UP_STOPPED}], rax
    mov r14d, [r15 + {DOWN_GO}]
    mov r13, [r15 + {DOWN_BELL}]
    mov eax, r14d
    xchg [r15 + {UP_DONE}], eax     # and a full fence
    cmp dword ptr [r13], {SLEEPING}
    je guest_ring

guest_wait:
    mov eax, [r15 + {DOWN_GO}]
    cmp eax, r14d
    jne guest_go
    mov r8d, [r15 + {DOWN_SPIN}]
    test r8d, r8d
    jz 4f
    rdtsc
    shl rdx, 32
    lea r9, [rdx + rax]
1:  pause
    mov eax, [r15 + {DOWN_GO}]
    cmp eax, r14d
    jne guest_go
    mov r8d, [r15 + {DOWN_SPIN}]
    rdtsc
    shl rdx, 32
    add rax, rdx
    sub rax, r9
    cmp rax, r8
    jb 1b
4:  mov eax, 1
    xchg [r15 + {UP_SLEEP}], eax    # and a full fence
2:  mov eax, [r15 + {DOWN_GO}]
    cmp eax, r14d
    jne 3f
    mov eax, 202                    # futex(go, FUTEX_WAIT, last, NULL)
    lea rdi, [r15 + {DOWN_GO}]
    xor esi, esi
    mov edx, r14d
    xor r10d, r10d
    syscall
    .globl guest_wait_ip
guest_wait_ip:
    lea r15, [rdi - {DOWN_GO}]      # only what the filter and the host looked at counts from here on:
    mov r14d, edx                   # who waits for an area's word goes on as that area's thread
    jmp 2b
3:  mov dword ptr [r15 + {UP_SLEEP}], 0
    jmp guest_go

# The worker sleeps, or is about to: wake until someone was woken, or the worker is awake, or has
# taken the event and let this thread go on. Not for ever: another thread may have woken it, and it waits
# for this very processor. If it was only about to sleep, it soon looks again by itself.
guest_ring:
    mov r12d, {RINGS}
5:  mov eax, 202                    # futex(bell, FUTEX_WAKE, INT_MAX)
    mov rdi, r13
    mov esi, 1
    mov edx, 0x7fffffff
    syscall
    .globl guest_wake_ip
guest_wake_ip:
    test rax, rax
    jnz guest_wait
    pause
    cmp dword ptr [r13], {SLEEPING}
    jne guest_wait
    cmp [r15 + {DOWN_GO}], r14d
    jne guest_wait
    dec r12d
    jnz 5b
    jmp guest_wait

guest_go:
    rdtsc
    shl rdx, 32
    or rax, rdx
    mov [r15 + {UP_STARTED}], rax
    mov ebx, [r15 + {DOWN_FLAGS}]
    test ebx, {RESET}
    jnz guest_reset
    test ebx, {SAVE_FP}
    jnz guest_save_fp
    test ebx, {LOAD_FP}
    jnz guest_load_fp
1:  test ebx, {FULL}
    jnz guest_take_all
    mov rax, [r15 + {DOWN_RAX}]
    mov [r15 + {UP_REGS} + {RAX}], rax
    cmp dword ptr [r15 + {UP_SIG}], {PATCHED}
    je guest_restore_patched

# From here to guest_restore_end the guest's state is up.regs and the CPU's extended registers: a kick
# reports just that.
    .globl guest_restore
guest_restore:
    mov eax, [r15 + {DOWN_KICK}]
    cmp eax, [r15 + {DOWN_GO}]
    je guest_interrupted
    mov rax, [r15 + {UP_REGS} + {FS_BASE}]
    wrfsbase rax
    mov rax, [r15 + {UP_REGS} + {GS_BASE}]
    wrgsbase rax
    lea rsp, [r15 + {UP_REGS} + {RIP}]
    mov r14, [r15 + {UP_REGS} + {R14}]
    mov r13, [r15 + {UP_REGS} + {R13}]
    mov r12, [r15 + {UP_REGS} + {R12}]
    mov rbp, [r15 + {UP_REGS} + {RBP}]
    mov rbx, [r15 + {UP_REGS} + {RBX}]
    mov r11, [r15 + {UP_REGS} + {R11}]
    mov r10, [r15 + {UP_REGS} + {R10}]
    mov r9,  [r15 + {UP_REGS} + {R9}]
    mov r8,  [r15 + {UP_REGS} + {R8}]
    mov rax, [r15 + {UP_REGS} + {RAX}]
    mov rcx, [r15 + {UP_REGS} + {RCX}]
    mov rdx, [r15 + {UP_REGS} + {RDX}]
    mov rsi, [r15 + {UP_REGS} + {RSI}]
    mov rdi, [r15 + {UP_REGS} + {RDI}]
    mov r15, [r15 + {UP_REGS} + {R15}]
    iretq                           # reads rip, cs, eflags, rsp and ss from up.regs
# After a patched call: on in the trampoline. What the stub did not touch is still there.
guest_restore_patched:
    mov eax, [r15 + {DOWN_KICK}]
    cmp eax, [r15 + {DOWN_GO}]
    je guest_interrupted
    lea rsp, [r15 + {UP_REGS} + {EFLAGS}]
    popfq
    mov rsp, [r15 + {UP_REGS} + {RSP}]
    mov r14, [r15 + {UP_REGS} + {R14}]
    mov r13, [r15 + {UP_REGS} + {R13}]
    mov r12, [r15 + {UP_REGS} + {R12}]
    mov rbp, [r15 + {UP_REGS} + {RBP}]
    mov rbx, [r15 + {UP_REGS} + {RBX}]
    mov r11, [r15 + {UP_REGS} + {R11}]
    mov r10, [r15 + {UP_REGS} + {R10}]
    mov r9,  [r15 + {UP_REGS} + {R9}]
    mov r8,  [r15 + {UP_REGS} + {R8}]
    mov rax, [r15 + {UP_REGS} + {RAX}]
    mov rcx, [r15 + {UP_REGS} + {RCX}]
    mov rdx, [r15 + {UP_REGS} + {RDX}]
    mov rsi, [r15 + {UP_REGS} + {RSI}]
    mov rdi, [r15 + {UP_REGS} + {RDI}]
    mov r15, [r15 + {UP_REGS} + {R15}]
    jmp qword ptr gs:[{UP_TAIL}]
    .globl guest_restore_end
guest_restore_end:

guest_interrupted:
    mov dword ptr [r15 + {UP_SIG}], {KICK_SIGNAL}
    jmp guest_park

guest_take_all:
    lea rsi, [r15 + {DOWN_REGS}]
    lea rdi, [r15 + {UP_REGS}]
    mov ecx, {NR_REGS}
    cld
    rep movsq
    jmp guest_restore

guest_load_fp:
    mov eax, -1
    mov edx, -1
    xrstor64 [r15 + {DOWN_XSAVE}]
    jmp 1b

guest_save_fp:
    mov eax, -1
    mov edx, -1
    xsave64 [r15 + {UP_XSAVE}]
    jmp guest_park

# The process shall serve another guest: nothing in the CPU may be the last one's. Everything not named
# here is loaded with a guest's first run.
guest_reset:
    mov rsp, [r15 + {DOWN_SCRATCH}]
    push 2
    popfq
    xor eax, eax
    mov ds, eax
    mov es, eax
    mov fs, eax
    mov gs, eax
    wrfsbase rax
    wrgsbase r15
    mov eax, -1
    mov edx, -1
    lea rcx, [rip + stub_base + {CONFIG} + {XSAVE_INIT}]
    xrstor64 [rcx]
    mov dword ptr [r15 + {UP_SIG}], {CLEAN}
    jmp guest_park
