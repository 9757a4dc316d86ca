# bevor-test: timeout=180
# Servers and their clients: redis, memcached, nginx, on TCP and unix sockets.
PATH=$PATH:/usr/sbin
base=$([ "$(id -u)" = 0 ] && echo 700 || echo 710)
redis-server --port ${base}1 --unixsocket "$PWD/redis.sock" --save '' --appendonly yes --dir "$PWD" > redis.log 2>&1 & redis=$!
for i in $(seq 100); do redis-cli -p ${base}1 ping 2> /dev/null | grep -q PONG && break; sleep 0.1; done
redis-cli -p ${base}1 set a 1; redis-cli -s redis.sock incr a
redis-cli -p ${base}1 eval 'local s = 0 for i = 1, 1000 do s = s + i end return s' 0
redis-benchmark -p ${base}1 -n 2000 -c 20 -q -t get,set 2> /dev/null | tr '\r' '\n' | grep -c 'requests per second'
redis-cli -p ${base}1 bgrewriteaof
for i in $(seq 100); do redis-cli -p ${base}1 info persistence | grep -q 'rewrite_in_progress:0' && break; sleep 0.1; done
redis-cli -p ${base}1 info persistence | grep status | tr -d '\r'
redis-cli -p ${base}1 shutdown; wait $redis; echo "redis $?"

memcached $([ "$(id -u)" = 0 ] && echo -u root) -p ${base}2 -l 127.0.0.1 -t 4 & memcached=$!
for i in $(seq 100); do printf 'quit\r\n' | busybox nc 127.0.0.1 ${base}2 2> /dev/null && break; sleep 0.1; done
printf 'set k 0 0 5\r\nhello\r\nget k\r\nquit\r\n' | busybox nc 127.0.0.1 ${base}2
kill $memcached; wait $memcached; echo "memcached $?"

mkdir -p html temp; echo index > html/index.html; head -c 8000000 /dev/zero > html/big; chmod -R a+rX .
cat > nginx.conf <<C
worker_processes 2; pid $PWD/pid; daemon off; $([ "$(id -u)" = 0 ] && echo 'user root;')
events { worker_connections 256; }
http {
    access_log $PWD/access; sendfile on; tcp_nopush on;
    client_body_temp_path $PWD/temp; proxy_temp_path $PWD/temp; fastcgi_temp_path $PWD/temp;
    uwsgi_temp_path $PWD/temp; scgi_temp_path $PWD/temp;
    server {
        listen 127.0.0.1:${base}3; listen unix:$PWD/nginx.sock; root $PWD/html;
        location /proxied { proxy_pass http://unix:$PWD/nginx.sock:/; }
    }
}
C
nginx -c "$PWD/nginx.conf" -e "$PWD/error" & nginx=$!
for i in $(seq 100); do curl -s http://127.0.0.1:${base}3/ && break; sleep 0.1; done
curl -s http://127.0.0.1:${base}3/big | wc -c; curl -s http://127.0.0.1:${base}3/proxied/big | wc -c
curl -s -r 100-199 http://127.0.0.1:${base}3/big | wc -c; curl -s -o /dev/null -w '%{http_code}\n' http://127.0.0.1:${base}3/none
for i in $(seq 30); do curl -s http://127.0.0.1:${base}3/ & done | wc -l
kill -HUP $nginx; sleep 1; curl -s http://127.0.0.1:${base}3/; kill -QUIT $nginx; wait $nginx; echo "nginx $?"
