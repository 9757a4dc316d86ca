# bevor-test: timeout=120
# git: init, commit, log, branch, merge, clone, gc.
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b HOME=$PWD
export GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z'
git config --global init.defaultBranch main; git config --global advice.detachedHead false; git config --global gc.autoDetach false
git init -q repo && cd repo
for i in 1 2 3 4 5 6 7 8; do echo "line $i" >> file; mkdir -p d$i; seq 1 $((i * 100)) > d$i/n; git add .; git commit -qm "commit $i"; done
git log --oneline; git status --short | wc -l
git checkout -q -b side HEAD~3; echo side > side; git add side; git commit -qm side; git checkout -q main; git merge -q -m merge side; git log --graph --oneline | head -5
git diff --stat HEAD~1 | cat; git blame -s file | cut -c1-8 | uniq | wc -l
git gc -q && git count-objects -v | grep -E 'count|packs|in-pack'
git fsck 2>&1 | grep -v -i checking; git rev-parse HEAD
cd ..; git clone -q repo copy && cd copy && git log --oneline | wc -l && git rev-parse HEAD
git tag v1; git archive v1 | tar t | wc -l; git grep -c line | head -2; git stash list | wc -l
echo change >> file; git stash -q; git stash pop -q; git diff --shortstat; git rebase -q HEAD~1 2>/dev/null; git show --stat HEAD~2 | tail -1
