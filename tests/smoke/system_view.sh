# bevor-test: timeout=120
# What tools find out about the machine and its sockets.
lscpu | grep -cE '^(Architecture|CPU\(s\)|On-line|Thread|Core|Socket|NUMA node0)'
lscpu -p=CPU | grep -v '#' | wc -l; nproc
stat -f -c %T /sys /proc
ionice; ionice -c 3 ionice; ionice -c 2 -n 7 ionice
cat /sys/devices/system/node/node0/cpulist
sysctl -n kernel.ostype net.ipv4.tcp_keepalive_probes kernel.core_pipe_limit
cat > listen.py <<'P'
import socket, subprocess, os
tcp = socket.create_server(('127.0.0.1', 0)); port = tcp.getsockname()[1]
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.bind(('127.0.0.1', port))
unix = socket.socket(socket.AF_UNIX); unix.bind('sock'); unix.listen()
client = socket.create_connection(('127.0.0.1', port)); server, _ = tcp.accept()
def shown(*command):
    text = subprocess.run(command, capture_output=True, text=True).stdout
    lines = [line.replace(str(client.getsockname()[1]), 'CLIENT').replace(str(port), 'PORT') for line in text.splitlines()]
    # The kernel tells the limit of a backlog by netlink alone.
    fields = (' '.join(field for field in line.split() if not field.isdigit()) for line in lines if 'PORT' in line)
    print(*sorted(fields), sep='\n')
shown('ss', '-tlnH'); shown('ss', '-tnH', 'state', 'established'); shown('ss', '-ulnH'); shown('busybox', 'netstat', '-ltn')
print('sock' in open('/proc/net/unix').read())
P
PATH=/usr/bin:$PATH python3 listen.py
echo 0x33 > /proc/self/coredump_filter; cat /proc/self/coredump_filter
# Caches, memory, and lists of what there is none of.
lscpu -C=NAME | head -1; lscpu -B -p=CPU,CORE,SOCKET,NODE | grep -vc '#'
free | awk 'NR == 1 { print $1, $2, $3, $4, $5, $6 } NR == 2 { print ($2 > 0), ($3 > 0), ($2 >= $3 + $4) }'
vmstat | awk 'NR == 2 { print NF }'; uptime | grep -c 'load average'; ipcs -l | grep -c max
top -bn1 | awk 'NR <= 5 { print substr($1, 1, 3) }'
