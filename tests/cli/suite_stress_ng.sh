# stress-ng's stressors of seven classes, five seconds each with verification, three at a time, each in a sandbox
# of its own. On the host most would do harm: what it must be is written down here.
# bevor-test: tier=full user=root platform=systrap timeout=1800 stderr=ignore
[ -n "$RUN" ] || { cat <<'S'
more than 200 succeed
binderfs: not there
efivar: not there
icmp-flood: fails
netlink-proc: not there
netlink-task: not there
pci: not there
rawpkt: fails
rawsock: fails
rawudp: fails
swap: not there
S
exit 0; }
# Why they do not succeed: binderfs, efivar, pci, swap: no such device in a sandbox. netlink-proc, netlink-task: no
# process connector, no task statistics. icmp-flood, rawpkt, rawsock, rawudp: no raw sockets. What stress-ng itself
# calls pathological is left out.
mkdir done
one() {
    # What is given has no room for the gigabytes it would write.
    [ "$1" = iomix ] && more='--iomix-bytes 64M' || more=
    timeout -s KILL 120 $RUN stress-ng --"$1" 2 $more --verify --timeout 5s --oomable --temp-path /tmp > "log.$1" 2>&1
    echo $? > "done/$1"
}
export -f one
export RUN
RUN="${RUN% --} --memory=2G --pids=600 --overlay-size=1G --cwd=/tmp --"
for class in os scheduler memory pipe filesystem network interrupt; do
    stress-ng --class $class? 2>&1 | tail -1 | sed 's/.*: //' | tr ' ' '\n'
done | grep . | sort -u > all
grep -vxE 'bind-mount|mlockmany|oom-pipe|sysinval|watchdog' all | xargs -P 3 -I '{}' bash -c 'one {}'
[ "$(grep -lx 0 done/* | wc -l)" -gt 200 ] && echo "more than 200 succeed"
for file in done/*; do
    name=${file#done/}
    case $(cat "$file") in
        0) ;;
        3 | 4) echo "$name: not there" ;;
        *) echo "$name: fails"; cat "log.$name" >&2 ;;
    esac
done
