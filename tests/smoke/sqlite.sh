# bevor-test: timeout=120
# sqlite3 with 100,000 inserts, in one transaction and on disk, with WAL.
sqlite3 db 'create table t(id integer primary key, a text, b real); create index i on t(a);'
sqlite3 db "with recursive n(x) as (select 1 union all select x+1 from n where x<100000) insert into t select x, 'name'||(x*7919%100003), x/3.0 from n;"
sqlite3 db 'select count(*), sum(id), min(a), max(a) from t; select id from t where a like "name777%" order by id limit 5;'
sqlite3 db 'pragma integrity_check; update t set b=b*2 where id%2=0; delete from t where id%3=0; select count(*), round(sum(b),2) from t; vacuum;'
sqlite3 db 'pragma journal_mode=wal; insert into t values(1000000,"wal",1);'
for i in 1 2 3 4 5 6; do sqlite3 -cmd '.timeout 20000' db "insert into t(a) values('p$i')" & done; wait
sqlite3 db "select count(*) from t where a like 'p_'; pragma journal_mode=delete;"
(echo 'begin;'; seq 1 100000 | sed "s/.*/insert into u values(&,'row &');/"; echo 'commit;') > in.sql
sqlite3 db2 'create table u(i int, s text)'; sqlite3 db2 < in.sql; sqlite3 db2 'select count(*), sum(i) from u'; sqlite3 db2 .dump | sha256sum
sqlite3 :memory: "with recursive c(x) as (values(1) union all select x+1 from c where x<300000) select sum(x*x%7) from c;"
