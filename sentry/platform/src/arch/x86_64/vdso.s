# The functions of our vDSO, which runs in guests, at any address. They use nothing outside this text
# but what lies at fixed addresses of every stub; the words at its start are filled in when the image is
# built. A system call is followed by an instruction long enough for the site to be rewritten.

    .section .rodata.bevor_vdso, "a"
    .balign 64
    .globl vdso_text
vdso_text:
host_clock_gettime: .quad 0         # where the host's functions lie, 0 for none
host_gettimeofday:  .quad 0
host_time:          .quad 0
host_clock_getres:  .quad 0
clocks:             .quad 0         # the address space's clock offsets
window_high:        .long 0         # upper half of the address of the stub's window, 0 for none
rdpid:              .long 0         # whether the processor has that instruction
    .balign 64

# The clocks the host's functions tell without a call: 0, 1, 4 to 7, 11.
    .macro known_clock
    cmp edi, 11
    ja 9f
    mov eax, 0x8f3
    bt eax, edi
    jnc 9f
    .endm

    .macro ask number
9:  mov eax, \number
    syscall
    nop dword ptr [rax]
    ret
    .balign 16
    .endm

    .globl vdso_clock_gettime
vdso_clock_gettime:
    known_clock
    mov rax, [rip + host_clock_gettime]
    test rax, rax
    jz 9f
    mov rcx, [rip + clocks]
    cmp dword ptr [rcx + {SHIFTED}], 0
    jne 2f
    jmp rax
    ask 228
2:  push rsi
    push rdi
    sub rsp, 8
    call rax
    add rsp, 8
    pop rdi
    pop rsi
    test eax, eax
    jnz 6f
    mov rcx, [rip + clocks]
    cmp edi, 7                      # CLOCK_BOOTTIME
    je 4f
    mov edx, 0x52                   # CLOCK_MONOTONIC, _RAW, _COARSE
    bt edx, edi
    jnc 6f
    mov rdx, [rcx + {MONOTONIC}]
    mov rcx, [rcx + {MONOTONIC} + 8]
    jmp 5f
4:  mov rdx, [rcx + {BOOTTIME}]
    mov rcx, [rcx + {BOOTTIME} + 8]
5:  add rcx, [rsi + 8]              # nanoseconds of both are below a second
    cmp rcx, 1000000000
    jb 7f
    sub rcx, 1000000000
    inc rdx
7:  mov [rsi + 8], rcx
    add [rsi], rdx
6:  ret
    .balign 16

    .globl vdso_gettimeofday
vdso_gettimeofday:
    mov rax, [rip + host_gettimeofday]
    test rax, rax
    jz 9f
    jmp rax
    ask 96

    .globl vdso_time
vdso_time:
    mov rax, [rip + host_time]
    test rax, rax
    jz 9f
    jmp rax
    ask 201

    .globl vdso_clock_getres
vdso_clock_getres:
    known_clock
    mov rax, [rip + host_clock_getres]
    test rax, rax
    jz 9f
    jmp rax
    ask 229

# As the stub answers it (see stub/src/arch/x86_64/guest.s), if the GS base is the stub's.
    .globl vdso_getcpu
vdso_getcpu:
    mov edx, [rip + window_high]
    test edx, edx
    jz 9f
    rdgsbase rcx
    test cx, cx
    jnz 9f
    mov rax, rcx
    shr rax, 32
    cmp eax, edx
    jne 9f
    cmp dword ptr [rcx + {DOWN_GETCPU}], 0
    je 9f
    cmp dword ptr [rip + rdpid], 0
    je 2f
    .byte 0xf3, 0x0f, 0xc7, 0xf8    # rdpid rax
    jmp 3f
2:  mov eax, 0x7b
    lsl eax, eax
3:  and eax, 0xfff
    cmp eax, {NR_CPUS}
    jae 9f
    movzx eax, word ptr [rcx + rax*2 + {DOWN_CPUS}]
    sub eax, 1
    jb 9f
    test rdi, rdi
    jz 4f
    mov [rdi], eax
4:  test rsi, rsi
    jz 5f
    mov dword ptr [rsi], 0
5:  xor eax, eax
    ret
    ask 309
    .globl vdso_text_end
vdso_text_end:
    .previous
