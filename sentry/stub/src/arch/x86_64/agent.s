# The zygote and the agents. No stack is ever used; all state is in registers:
#   rsp  the key: the filter, which guest threads are under, too, wants it as the sixth argument of
#        what only agents may do. It is in no memory and in no other register of a guest thread.
#   r12  orders (read-only page)      r13  results
#   r14d number of the last batch     r15d orders left
#   rbx  the order                    rbp  where its result goes

    .section .zygote, "ax", @progbits

# Entered once, in the zygote, from the sentry's forked child, with the key in rdi. Its first batch of
# orders unmaps the rest of the sentry's image and installs handlers and the filter of all threads.
    .globl zygote_start
zygote_start:
    mov rsp, rdi
    xor edi, edi
    xor eax, eax
    wrfsbase rax
    wrgsbase rax
    mov eax, -1
    mov edx, -1
    lea rcx, [rip + stub_base + {CONFIG} + {XSAVE_INIT}]
    xrstor64 [rcx]
    jmp agent_main

# An order of kind CLONE_SPACE; registers hold the call, and for the child, which must not look at
# orders that the sentry may already be replacing: r8 the offset of its pages, rdx their files. It maps
# them over the zygote's and becomes an agent.
zygote_clone:
    syscall
    .globl zygote_clone_ip
zygote_clone_ip:
    test rax, rax
    jnz agent_result
    mov rbx, r8
    mov rbp, rdx
    mov eax, 9                      # mmap(agent_up, SLOT_LEN, READ|WRITE, SHARED|FIXED, up, offset)
    lea rdi, [rip + stub_base + {AGENT_UP}]
    mov esi, {SLOT_LEN}
    mov edx, 3
    mov r10d, 0x11
    mov r8d, ebp
    mov r9, rbx
    syscall
    .globl zygote_map_up_ip
zygote_map_up_ip:
    cmp rax, -4095
    jae 1f
    mov eax, 9                      # mmap(agent_down, SLOT_LEN, READ, SHARED|FIXED, down, offset)
    lea rdi, [rip + stub_base + {AGENT_DOWN}]
    mov edx, 1
    shr rbp, 32
    mov r8d, ebp
    syscall
    .globl zygote_map_down_ip
zygote_map_down_ip:
    cmp rax, -4095
    jb agent_main
1:  ud2

    .section .agent, "ax", @progbits
agent_main:
    lea r12, [rip + stub_base + {AGENT_DOWN}]
    lea r13, [rip + stub_base + {AGENT_UP}]
    xor r14d, r14d

agent_wait:
    mov eax, [r12 + {A_GO}]
    cmp eax, r14d
    jne agent_batch
    mov r8d, [r12 + {A_SPIN}]
    rdtsc
    shl rdx, 32
    lea r9, [rdx + rax]
1:  pause
    mov eax, [r12 + {A_GO}]
    cmp eax, r14d
    jne agent_batch
    rdtsc
    shl rdx, 32
    add rax, rdx
    sub rax, r9
    cmp rax, r8
    jb 1b
    mov eax, 202                    # futex(go, FUTEX_WAIT, last, NULL)
    lea rdi, [r12 + {A_GO}]
    xor esi, esi
    mov edx, r14d
    xor r10d, r10d
    mov r9, rsp
    syscall
    .globl agent_futex_ip
agent_futex_ip:
    jmp agent_wait

agent_batch:
    mov r14d, eax
    mov r15d, [r12 + {A_COUNT}]
    lea rbx, [r12 + {A_ORDERS}]
    lea rbp, [r13 + {A_RESULTS}]
agent_next:
    test r15d, r15d
    jz agent_done
    mov rax, [rbx + 8]
    mov rdi, [rbx + 16]
    mov rsi, [rbx + 24]
    mov rdx, [rbx + 32]
    mov r10, [rbx + 40]
    mov r8,  [rbx + 48]
    mov r9,  [rbx + 56]
    cmp eax, 9                      # mmap has six arguments of its own
    cmovne r9, rsp
    mov ecx, [rbx]
    test ecx, ecx
    jnz agent_special
    syscall
    .globl agent_call_ip
agent_call_ip:
agent_result:
    mov [rbp], rax
    add rbp, 8
    add rbx, {ORDER_LEN}
    dec r15d
    jmp agent_next
agent_done:
    mov eax, 1                      # write(event_fd, &one, 8)
    mov edi, [r12 + {A_EVENT_FD}]
    lea rsi, [rip + stub_base + {CONFIG} + {ONE}]
    mov edx, 8
    mov r9, rsp
    syscall
    .globl agent_write_ip
agent_write_ip:
    mov [r13 + {A_DONE}], r14d      # a hint for a sentry that spins
    jmp agent_wait

agent_special:
    cmp ecx, {CLONE_THREAD}
    jne zygote_clone                # unmapped outside the zygote
    syscall
    .globl agent_clone_ip
agent_clone_ip:
    test rax, rax
    jnz agent_result

# A new guest thread. Its stack pointer is the end of its area, and so names it. Agents block all
# signals; guest threads do not block those they handle: by then the key is gone from r9.
thread_start:
    lea r15, [rsp - 1]
    and r15, -{AREA}
    mov eax, 436                    # close_range(0, ~0, CLOSE_RANGE_UNSHARE)
    xor edi, edi
    mov esi, -1
    mov edx, 2
    syscall
    .globl start_close_ip
start_close_ip:
    test rax, rax
    jnz start_failed
    mov eax, 131                    # sigaltstack(down.stack_t, NULL)
    lea rdi, [r15 + {STACK_T}]
    xor esi, esi
    syscall
    .globl start_stack_ip
start_stack_ip:
    test rax, rax
    jnz start_failed
    cmp qword ptr [rip + stub_base + {CONFIG} + {SUD}], 0
    je 1f
    mov eax, 157                    # prctl(PR_SET_SYSCALL_USER_DISPATCH, ON, stub, length, NULL)
    mov edi, 59
    mov esi, 1
    lea rdx, [rip + stub_base]
    lea r10, [rip + stub_end]
    sub r10, rdx
    xor r8d, r8d
    syscall
    .globl start_dispatch_ip
start_dispatch_ip:
    test rax, rax
    jnz start_failed
1:  xor r9d, r9d
    mov eax, 14                     # rt_sigprocmask(SIG_SETMASK, mask, NULL, 8)
    mov edi, 2
    lea rsi, [rip + stub_base + {CONFIG} + {SIGMASK}]
    xor edx, edx
    mov r10d, 8
    syscall
    .globl start_mask_ip
start_mask_ip:
    test rax, rax
    jnz start_failed
    xor eax, eax
    wrfsbase rax
    wrgsbase r15
    xor esp, esp
    xor r14d, r14d
    jmp guest_wait
start_failed:
    ud2
