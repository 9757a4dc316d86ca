# bevor-test: timeout=120 stderr=ignore
# Everything under /usr by name, and by owner, mode, size and time.
find /usr | sort | sha256sum
find /usr -printf '%p %y %m %U %G %s %T@ %l\n' | grep -v ' d ' | sort | sha256sum
find /usr -type d -printf '%p %m %U %G\n' | sort | sha256sum
find /etc -type f -size -100k 2>/dev/null | sort | wc -l
ls -ln /usr/bin | sha256sum
ls -lnR /usr/lib/python3* 2>/dev/null | grep -v ^total | sha256sum
