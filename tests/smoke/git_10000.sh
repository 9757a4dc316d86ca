# bevor-test: timeout=300 tier=full user=root
# git with 10,000 files: add, clone in four ways, fsck, pull, gc, move, clean, worktrees.
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b HOME=$PWD
export GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z'
git config --global init.defaultBranch main; git config --global gc.auto 0
python3 - <<'P'
import os
for d in range(100):
    os.makedirs(f"src/d{d % 10}/e{d}")
    for f in range(100):
        with open(f"src/d{d % 10}/e{d}/f{f}", "w") as out: out.write(f"{d} {f}\n" * (1 + (d * f) % 200))
P
cd src; git init -q; git add .; git commit -qm all; git status --short | wc -l; git rev-parse HEAD
cd ..; git clone -q src local; git clone -q --no-hardlinks src copy; git clone -q file://$PWD/src wire; git clone -q --depth 1 file://$PWD/src shallow
for c in local copy wire shallow; do (cd $c; git fsck 2>/dev/null; echo fsck $?; git status --short | wc -l; git ls-files | wc -l; git rev-parse HEAD); done
diff -r src/d3 wire/d3 && echo same; find wire -path '*/.git' -prune -o -type f -print | wc -l
cd copy; sed -i s/1/2/ d1/e1/*; git status --short | wc -l; git commit -qam more; cd ../wire; git pull -q ../copy main; git log --oneline; git gc -q; git count-objects -v | grep -E '^(count|in-pack|packs)'
git mv d1 moved; git commit -qm move; git checkout -q HEAD~1; ls | tr '\n' ' '; git checkout -q main; git clean -ndx | wc -l; git worktree add -q ../tree HEAD; ls ../tree | tr '\n' ' '
