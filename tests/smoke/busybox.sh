# bevor-test: timeout=120
# busybox sh: pipelines with hundreds of forks.
cat > script <<'S'
i=0
while [ $i -lt 150 ]; do
    x=$(echo $i | busybox sed 's/1/one/' | busybox tr a-z A-Z)
    i=$((i + 1))
done
echo "$x $i"
for n in 1 2 3 4 5 6 7 8 9 10; do
    seq 1 200 | busybox grep $n | busybox sort -r | busybox head -n 3 | busybox md5sum
done
(exit 5); echo $?
f() { return $1; }; f 7; echo $?
echo "a b c" | while read x y z; do echo "$z $y $x"; done
trap 'echo bye' EXIT
busybox ls / > /dev/null && echo ls
for j in $(busybox seq 1 40); do ( : ) & done; wait; echo all
busybox awk 'BEGIN { for (i = 0; i < 10000; i++) s += i; print s }'
busybox find /usr/share/doc -type d 2>/dev/null | busybox wc -l > /dev/null; echo found
busybox tar c /etc/passwd 2>/dev/null | busybox tar t
echo hello | busybox gzip | busybox gunzip
S
busybox sh script
