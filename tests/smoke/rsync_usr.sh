# bevor-test: timeout=400 tier=full user=root
# rsync of /usr (files up to 256 KiB), checked by content, and again with nothing to do.
rsync -a --max-size=256k /usr/ out/; echo rsync $?
rsync -acni --max-size=256k /usr/ out/ | head -5
find out | wc -l; find out -type l | wc -l
rsync -a --max-size=256k --delete --stats /usr/ out/ | grep -E 'Number of (created|deleted|regular)'
