# bevor-test: timeout=60
# Everyday tools on a fresh folder.
mkdir -p a/b/c; cd a
printf '%s\n' pear apple fig apple > fruit
sort fruit | uniq -c | sort -rn
wc fruit; head -n 2 fruit; tail -n 1 fruit; cut -c1-2 fruit; tr a-z A-Z < fruit
cp fruit copy; mv copy b/moved; ln -s ../fruit b/link; ln fruit b/hard
ls -1F b; readlink b/link; cat b/link | md5sum
stat -c '%n %a %F %s %h' fruit b/link b/hard
chmod 640 fruit; stat -c %a fruit
find . | sort
touch -d '2020-02-02 02:02:02 UTC' fruit; stat -c %Y fruit
du -s --apparent-size b/moved | cut -f1
dd if=/dev/zero of=zeros bs=4096 count=100 2>/dev/null; sha256sum zeros
split -n 4 zeros part.; cat part.* | cmp - zeros && echo same
seq 1 100000 | awk '{ s += $1 } END { print s }'
seq 1 1000 | sed -n '10p;20,22p;$p'
seq 1 1000 | grep -c 7
seq 1 20 | paste -sd+ | bc 2>/dev/null || expr 1 + 2
yes bevor | head -n 100000 | sha1sum
seq 1 5 | xargs -n 2 echo; seq 1 50 | xargs -P 4 -n 1 sh -c 'exit 0'; echo $?
echo 'b 2
a 1' > j1; sort j1 > j1s; printf 'a x\nb y\n' > j2; join j1s j2
diff fruit b/moved && echo identical; echo more >> fruit; diff fruit b/hard; diff fruit b/moved; echo $?
comm -12 <(sort fruit) <(sort b/moved) | head -2
tee t1 t2 < fruit > /dev/null; cmp t1 t2 && echo tee
mkfifo pipe; (cat pipe | tr a-z A-Z) & cat fruit > pipe; wait
timeout 0.2 sleep 5; echo $?
date -u -d @0 +%F; env -i A=1 env; basename /x/y.z .z; dirname /x/y; realpath b/../fruit | sed 's|.*/a/|a/|'
od -c fruit | head -3; base64 < fruit | base64 -d | cmp - fruit && echo base64
rm -r b; ls; rmdir nothing 2>/dev/null; echo $?
nproc > /dev/null && echo nproc; df . > /dev/null && echo df; uname -s; whoami > /dev/null 2>&1; echo done
