# bevor-test: timeout=400 tier=full user=root
# SQLite and PostgreSQL on a mount that is written through, whose files the host then reads.
mkdir scripts; cp "$TOP"/tests/smoke/{sqlite,postgresql}.sh scripts || exit 99; smoke=$PWD/scripts
[ -z "$RUN" ] || { set -- $RUN; RUN="$1 do $3 --rw $PWD --"; }
mkdir sqlite pg
(cd sqlite && $RUN bash "$smoke/sqlite.sh"; for db in db db2; do sqlite3 $db 'pragma integrity_check'; done; sqlite3 db 'select a, b from t order by a, b' | sha256sum; sqlite3 db2 .dump | sha256sum)
(cd pg && $RUN bash "$smoke/postgresql.sh"; cat data/PG_VERSION; stat -c '%U %a' data; ls data | wc -l)
# What one sandbox wrote another reads, and the host.
PATH=$(echo /usr/lib/postgresql/*/bin):$PATH
cat > again.sh <<'S'
cd pg; PATH=$(echo /usr/lib/postgresql/*/bin):$PATH; export HOME=$PWD PGHOST=$PWD PGUSER=admin PGPORT=5999 PGDATABASE=postgres
pg_ctl -D data -w -o "-k $PWD -h ''" -l log start > /dev/null; echo "start $?"
psql -Atc 'select sum(a) from t' -c 'select count(*) from pgbench_accounts'; pgbench -c 4 -j 2 -t 200 2>&1 | grep -E 'processed|failed'
psql -Atc 'create table made(s text)' -c "insert into made values('in $1')"; psql -Atc 'select * from made'; psql -c 'drop table made'
pg_ctl -D data -m fast stop > /dev/null; echo "stop $?"; grep -E 'WARNING|FATAL|PANIC|could not' log | grep -vE 'administrator command|Broken pipe' | head
S
as="setpriv --reuid=www-data --regid=www-data --clear-groups bash again.sh"
$RUN $as sandbox; $as host; $RUN $as sandbox
