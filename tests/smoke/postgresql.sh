# bevor-test: user=root timeout=240
# PostgreSQL: a cluster made, started, asked, put under load, dumped, stopped. It refuses to run as root.
if [ "$(id -u)" = 0 ]; then cp "$0" script; chown -R www-data: .; chmod 755 .; exec setpriv --reuid=www-data --regid=www-data --clear-groups bash ./script; fi
PATH=$(echo /usr/lib/postgresql/*/bin):$PATH; export HOME=$PWD PGHOST=$PWD PGUSER=admin PGPORT=5999 PGDATABASE=postgres
initdb -D data -U admin -A trust -N > log 2>&1; echo "initdb $?"
pg_ctl -D data -w -o "-k $PWD -h 127.0.0.1" -l log start > /dev/null; echo "start $?"
psql -Atc 'create table t as select generate_series(1, 100000) a' -c 'select sum(a) from t' -c 'create index on t(a)' -c 'vacuum analyze t' \
    -c 'explain (costs off) select * from t where a = 5'
pgbench -i -q > /dev/null 2>&1; pgbench -c 4 -j 2 -t 20 2>&1 | grep -E 'processed|failed'
psql -h 127.0.0.1 -Atc 'set parallel_setup_cost = 0; set min_parallel_table_scan_size = 0; select count(*) from t'
pg_dump -t t | wc -l; createdb other; psql -Atc 'select datname from pg_database order by 1' -c checkpoint
pg_ctl -D data -m fast stop > /dev/null; echo "stop $?"; grep -E 'WARNING|FATAL|PANIC|could not' log | grep -vE 'administrator command|Broken pipe' | head
