# bevor-test: timeout=120
# Round trips through tar, gzip, xz and bzip2.
src=$(ls -d /usr/lib/python3.*/email | head -1)
tar -C "$(dirname $src)" --exclude=__pycache__ -czf a.tgz email && mkdir x && tar -C x -xzf a.tgz
(cd $src && find . -name __pycache__ -prune -o -type f -print | sort | xargs sha256sum) | sha256sum
(cd x/email && find . -name __pycache__ -prune -o -type f -print | sort | xargs sha256sum) | sha256sum
tar -tzf a.tgz | sort | grep -v __pycache__ | wc -l
head -c 5000000 /dev/zero | gzip -9 | gunzip | sha256sum
seq 1 200000 | gzip | gzip -d | sha256sum
seq 1 50000 | xz -T2 | xz -d | sha256sum
seq 1 100000 > n; bzip2 -k n 2>/dev/null && bunzip2 -c n.bz2 | cmp - n && echo bzip2
tar -cf b.tar n; tar --diff -f b.tar && echo same
mkdir links; ln -s ../n links/l; ln n links/h; mkfifo links/p; chmod 4711 n
tar -cf c.tar n links && mkdir y && tar -C y -xpf c.tar; stat -c '%n %F %a %h' y/n y/links/*
tar -cf - n | tar -xOf - | cmp - n && echo pipe
