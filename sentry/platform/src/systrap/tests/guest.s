# Guest code of the tests: each is copied to CODE and entered at its label.
    .section .text.bevor_test_guests, "ax", @progbits
    .globl test_guests, test_guests_end
    .balign 4096
test_guests:

# Makes system call 1000 with known registers, again and again.
    .globl guest_calls
guest_calls:
    mov rdi, 1
    mov rsi, 2
    mov rdx, 3
    mov r10, 4
    mov r8, 5
    mov r9, 6
    mov rbx, 7
    mov rbp, 8
    mov r12, 9
    mov r13, 10
    mov r14, 11
    mov r15, 12
1:  mov eax, 1000
    syscall
    jmp 1b

# Adds rdi to rax, reports the sum by call 1001.
    .globl guest_sum
guest_sum:
    add rax, rdi
    mov rdi, rax
    mov eax, 1001
    syscall
    jmp guest_sum

# Loads from rdi, reports what it got by call 1002.
    .globl guest_load
guest_load:
    mov rdi, [rdi]
    mov eax, 1002
    syscall
    ud2

# Stores to rdi.
    .globl guest_store
guest_store:
    mov byte ptr [rdi], 1
    mov eax, 1002
    syscall
    ud2

    .globl guest_undefined
guest_undefined:
    ud2

    .globl guest_divide
guest_divide:
    xor edx, edx
    xor ecx, ecx
    div ecx

    .globl guest_breakpoint
guest_breakpoint:
    int3

    .globl guest_int80
guest_int80:
    mov eax, 1
    int 0x80
    jmp guest_int80

    .globl guest_x32
guest_x32:
    mov eax, 0x40000001
    syscall
    jmp guest_x32

    .globl guest_spin
guest_spin:
    inc rcx
    jmp guest_spin

# xmm0 and ymm-wide values through a call: xmm0 = [rdi], call, [rdi + 64] = xmm0.
    .globl guest_fp
guest_fp:
    movups xmm0, [rdi]
    movups xmm15, [rdi + 16]
    fld1
    mov eax, 1003
    syscall
    movups [rdi + 64], xmm0
    movups [rdi + 80], xmm15
    fstp qword ptr [rdi + 96]
    mov eax, 1004
    syscall
    jmp guest_fp

# Flags, the red zone and a stack survive a call: reports rflags in rdi by call 1005.
    .globl guest_flags
guest_flags:
    mov qword ptr [rsp - 8], 0x1234
    mov qword ptr [rsp - 128], 0x5678
    stc
    std
    mov eax, 1000
    syscall
    pushfq
    pop rdi
    cld
    mov rsi, [rsp - 128]
    mov eax, 1005
    syscall
    ud2

# The vsyscall page's time().
    .globl guest_vsyscall
guest_vsyscall:
    mov rax, 0xffffffffff600400
    xor edi, edi
    call rax
    mov rdi, rax
    mov eax, 1006
    syscall
    ud2

# Jumps to rdi with registers as they are.
    .globl guest_jump
guest_jump:
    jmp rdi

# Says that it parked, and waits for its next run by the stub's instruction at rcx, with wrong registers.
    .globl guest_wait_alone
guest_wait_alone:
    rdgsbase rdi
    mov edx, [rdi + 0x4000]
    mov [rdi], edx
    lea rsp, [rdi + 0xa008]
    add rdi, 0x4000
    xor esi, esi
    xor r10d, r10d
    mov r15d, 0x1234
    mov r14, rdi
    std
    mov eax, 202
    jmp rcx

# Sets the GS base to rdi, calls.
    .globl guest_gs
guest_gs:
    wrgsbase rdi
1:  mov eax, 1007
    syscall
    jmp 1b

# Fills rcx bytes at rdi with al, then calls.
    .globl guest_fill
guest_fill:
    cld
    rep stosb
1:  mov eax, 1000
    syscall
    jmp 1b

# Overwrites the page at rdi for ever, with small positive numbers.
    .globl guest_forge
guest_forge:
    mov rax, 1
1:  mov [rdi], eax
    xor ecx, ecx
2:  mov [rdi + 0x40 + rcx*8], rax
    inc rcx
    cmp rcx, 64
    jb 2b
    inc eax
    jmp 1b

# Like a C library's wrapper: call 2000 + rbx, again and again; rbx counts, rdi is kept.
    .globl guest_wrapper, guest_wrapper_after
guest_wrapper:
    mov qword ptr [rsp - 8], 0x77
    lea rax, [rbx + 2000]
    stc
    syscall
guest_wrapper_after:
    cmp rax, -4095
    jae 2f
    cmp qword ptr [rsp - 8], 0x77
    jne 2f
    inc rbx
    jmp guest_wrapper
2:  ud2

# rbx times getpid at a site of its own, the sum in rdi, then call 2001.
    .globl guest_getpid
guest_getpid:
    xor edi, edi
1:  mov eax, 39
    syscall
    cmp rax, -4095
    jae 2f
    add rdi, rax
    dec rbx
    jnz 1b
    mov eax, 2001
    syscall
    jmp guest_getpid
2:  ud2

# getpid for ever.
    .globl guest_getpid_forever
guest_getpid_forever:
    mov eax, 39
    syscall
    cmp rax, -4095
    jae 2f
    jmp guest_getpid_forever
2:  ud2

# Makes call r12 with r13, r14 and r15 at a site of its own, reports the result in rdi by call 2002.
    .globl guest_ask, guest_ask_after
guest_ask:
    mov rax, r12
    mov rdi, r13
    mov rsi, r14
    mov rdx, r15
1:  syscall
guest_ask_after:
    cmp rax, -4095
    test rbp, rbp
    jnz 2f
    mov eax, r12d
    jmp 1b
2:  mov rdi, rax
    mov eax, 2002
    syscall
    jmp guest_ask

# Calls the function at r12 with rdi and rsi, reports its result by call 1008.
    .globl guest_function
guest_function:
    call r12
    mov rdi, rax
    mov eax, 1008
    syscall
    ud2
test_guests_end:
