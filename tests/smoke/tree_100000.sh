# bevor-test: timeout=400 tier=full user=root
# 100,000 files: made, found, counted, packed, unpacked, compared, copied, removed.
python3 - <<'P'
import os
for d in range(1000):
    os.makedirs(f"t/a{d % 10}/b{d % 100}/c{d}")
    for f in range(100): open(f"t/a{d % 10}/b{d % 100}/c{d}/f{f}", "w").write(f"{f}\n" * (f % 7))
P
du -s --inodes t; find t | wc -l; find t -type f -name 'f1?' | sort | sha256sum; find t -type f -size +12c | wc -l; find t -empty -type f | wc -l
find t -type f -printf '%s\n' | awk '{s += $1} END {print s}'
tar cf t.tar t; tar tf t.tar | wc -l; mkdir u; tar xf t.tar -C u; diff -r t u/t && echo same
cp -a t v; rm -rf t; find v u | wc -l; find u -name 'f5*' -delete; find u -type f | wc -l; ls -R v | sort | sha256sum; rm -rf u v; ls
