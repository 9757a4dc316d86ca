# bevor-test: timeout=300 tier=full user=root
# Debian's minimal root, made by debootstrap, as the root of a sandbox: packages checked, installed,
# configured, removed and purged. The host enters a copy of it. Nothing reaches the root itself.
root=$TOP/target/debian-root; [ -d "$root" ] || exit 99
cat > script <<'S'
cat /etc/debian_version; id; echo $(ls /); dpkg -l | wc -l; dpkg --verify; echo "verify $?"
mkdir -p /pkg/DEBIAN /pkg/usr/bin /pkg/etc; cd /pkg/DEBIAN
printf 'Package: box\nVersion: 1.0\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: x\nDepends: bash, passwd\n' > control
printf '#!/bin/sh\necho hello from the box\n' > ../usr/bin/box; chmod 755 ../usr/bin/box; echo conf=1 > ../etc/box.conf; echo /etc/box.conf > conffiles
printf '#!/bin/sh\nset -e\nadduser --system --no-create-home --group boxer\nmkdir -p /var/lib/box\nchown boxer: /var/lib/box\n' > postinst; chmod 755 postinst
cd /; dpkg-deb -b /pkg /tmp/box.deb; apt-get install -qq /tmp/box.deb > /tmp/log 2>&1; echo "install $?"
grep -E '^(Unpacking|Setting|Adding|E:|W:)' /tmp/log; box; dpkg -s box | grep Status; stat -c '%A %U %G' /var/lib/box; dpkg -L box
sed -i s/1/2/ /etc/box.conf; dpkg --verify box; apt-get remove -qq box > /tmp/log 2>&1; echo "remove $?"; dpkg -s box | grep Status; cat /etc/box.conf
apt-get purge -qq box > /tmp/log 2>&1; echo "purge $?"; dpkg -l | wc -l; ls /usr/bin/box /etc/box.conf 2>&1; getent passwd boxer | cut -d: -f1
perl -e 'print "perl ok\n"'; cp -a /usr/bin /tmp/bin; diff -rq /usr/bin /tmp/bin && echo same; su -s /bin/sh -c 'id -un; touch /etc/x 2>&1' boxer
S
if [ -n "$RUN" ]; then
    set -- $RUN
    $1 do $3 --root "$root" --ro "$PWD/script:/script" --clear-env -e PATH="$PATH" -- bash /script
else
    cp -a "$root" copy; cp script copy/script
    unshare --mount --net --pid --fork sh -c 'mount -t proc proc copy/proc; mount --bind /dev copy/dev; mount -t devpts -o newinstance,ptmxmode=666 devpts copy/dev/pts; mount --bind copy/dev/pts/ptmx copy/dev/ptmx; exec env -i PATH="$PATH" chroot copy bash /script'
fi
ls "$root"/pkg "$root"/usr/bin/box 2>/dev/null; rm -rf copy
