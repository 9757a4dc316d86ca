# ss shows the sockets of a namespace, by state, address, process and kind.
cat > sockets.py <<'P'
import socket, subprocess
here = "127.0.0.1"
listener = socket.socket()
listener.bind((here, 4000))
listener.listen(5)
client = socket.create_connection((here, 4000), source_address=(here, 4001))
server, _ = listener.accept()
client.send(b"unread")
waiting = socket.create_connection((here, 4000), source_address=(here, 4002))
v6 = socket.socket(socket.AF_INET6)
v6.bind(("::1", 4003))
v6.listen(7)
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind((here, 4004))
udp.connect((here, 4005))
named = socket.socket(socket.AF_UNIX)
named.bind("named")
named.listen(3)
pair = socket.socketpair()
for options in ("-tan", "-tln", "-tlnp", "-uan", "-xl", "-tan state established", "-tn sport = :4000", "-tan dport = :4000 or sport = :4003"):
    print("ss", options)
    got = subprocess.run("ss -H " + options, shell=True, capture_output=True, text=True)
    for line in sorted(got.stdout.splitlines()):
        words = ["PATH" if word.startswith("users:") else word for word in line.split()]
        print(" ".join("N" if options[1] == "x" and word.isdigit() and int(word) > 9 else word for word in words))
    print(got.stderr, end="")
P
unshare -rn sh -c 'ip link set lo up && exec python3 sockets.py'
