# The smallest programs.
/bin/true; echo $?
/bin/false; echo $?
/bin/echo hello
busybox true; echo $?
id -u
pwd
