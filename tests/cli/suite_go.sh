# Go's own tests of what it builds on the kernel, -short, natively and inside; all of them are compared but the known gaps.
# bevor-test: tier=full user=root platform=systrap timeout=1500 stderr=ignore
# TestUnshare wants a second network interface; TestIPConn*: no raw IP sockets; TestMultiPathTCP: none; TestGdbCore*: no
# core files are written; TestSUID: the /tmp of a sandbox takes no set-user-ID programs.
gaps='TestUnshare TestIPConnRemoteName TestIPConnSpecificMethods TestMultiPathTCP TestGdbCoreSignalBacktrace TestSUID'
programs=$TOP/target/go-std
mkdir -p "$programs"
export GOCACHE=$TOP/target/go-cache GOTOOLCHAIN=local GOPROXY=off GOFLAGS=-buildvcs=false HOME=/tmp
root=$(go env GOROOT)
[ -z "$RUN" ] || RUN="${RUN% --} --memory=4G --overlay-size=1G --ro=$programs --"
for package in os os/exec os/signal net net/http syscall sync time runtime; do
    name=${package//\//_}
    # Versions of Go differ: a program of another one is built again.
    program=$programs/$name-$(go env GOVERSION).test
    [ -e "$program" ] || (cd "$root/src" && go test -c -o "$program" "$package" >&2) || exit 90
    # Under a shell: the first process of a session would be hung up with a terminal it opens.
    (cd "$root/src/$package" &&
        $RUN sh -c "'$program' -test.short -test.v -test.timeout 600s; exit \$?") > "log.$name" 2>&1
    grep -E '^ *--- (PASS|FAIL|SKIP)' "log.$name" | sed 's/ (.*//; s/^ *//' | sort > "results.$name"
    for gap in $gaps; do
        if grep -q -- "--- PASS: $gap$" "results.$name"; then
            [ -z "$RUN" ] || echo "no gap any more: $gap"
        fi
        sed -i "/: $gap$/d" "results.$name"
    done
    count=$(wc -l < "results.$name")
    # A program that could not run at all shows nothing on either side.
    [ "$count" -ge 30 ] && grep -qxE 'PASS|FAIL' "log.$name" || echo "BAD $package: cut short"
    echo "$package: $count results"
    cat "results.$name"
    grep -A20 -- '^ *--- FAIL' "log.$name" | head -100 >&2
done
exit 0
