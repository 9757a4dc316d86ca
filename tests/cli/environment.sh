# The guest sees the caller's environment, folder, arguments, umask and ids.
export SPECIAL='a b $c "d"'
$RUN sh -c 'echo "$SPECIAL" "$#" "$0" "$2"' zero one 'two words' ''
$RUN sh -c 'pwd; umask; id -u; id -g' | sed "s|$PWD|cwd|"
(umask 027; $RUN sh -c umask)
cd /usr/bin; $RUN sh -c 'pwd; ls -d ../lib'
$RUN env -i A=1 env
$RUN printenv HOME PATH SPECIAL
$RUN stat -c '%n %u %g %a' / /usr /etc/passwd /tmp
$RUN sh -c 'ulimit -n; ulimit -s; ulimit -c'
$RUN /bin/sh -c 'echo $0'
$RUN bash -c 'echo $PPID $$ | wc -w'
