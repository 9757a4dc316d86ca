// bevor-test: user=both timeout=60
// A Go program that leans on the scheduler, the collector, timers, signals and
// net/http on the loopback.
package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sort"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func check(err error) {
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

func goroutines() {
	var wg sync.WaitGroup
	var mu sync.Mutex
	total := 0
	for i := 0; i < 1000; i++ {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			for j := 0; j < 100; j++ {
				mu.Lock()
				total += i % 7
				mu.Unlock()
				runtime.Gosched()
			}
		}(i)
	}
	wg.Wait()
	fmt.Println("goroutines", total)
	in, out := make(chan int), make(chan int)
	last := in
	for i := 0; i < 100; i++ {
		next := make(chan int)
		go func(a, b chan int) {
			for v := range a {
				b <- v + 1
			}
			close(b)
		}(last, next)
		last = next
	}
	out = last
	go func() {
		for i := 0; i < 50; i++ {
			in <- i
		}
		close(in)
	}()
	sum := 0
	for v := range out {
		sum += v
	}
	fmt.Println("chain", sum)
	// A loop without calls must be preempted by a signal.
	var stop int32
	done := make(chan bool)
	for i := 0; i < runtime.GOMAXPROCS(0)+1; i++ {
		go func() {
			x := 0
			for atomic.LoadInt32(&stop) == 0 {
				for k := 0; k < 1000; k++ {
					x += k
				}
			}
			done <- true
		}()
	}
	time.Sleep(30 * time.Millisecond)
	runtime.GC()
	atomic.StoreInt32(&stop, 1)
	for i := 0; i < runtime.GOMAXPROCS(0)+1; i++ {
		<-done
	}
	fmt.Println("preempted")
}

type node struct {
	left, right *node
	value       [4]int
}

func build(depth int) *node {
	if depth == 0 {
		return &node{}
	}
	return &node{left: build(depth - 1), right: build(depth - 1)}
}

func (n *node) count() int {
	if n == nil {
		return 0
	}
	return 1 + n.left.count() + n.right.count()
}

func garbage() {
	debug.SetGCPercent(20)
	keep := build(14)
	for i := 0; i < 20; i++ {
		if build(12).count() != 8191 {
			fmt.Println("wrong tree")
		}
	}
	var wg sync.WaitGroup
	for i := 0; i < 4; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			m := map[int][]byte{}
			for j := 0; j < 20000; j++ {
				m[j%100] = bytes.Repeat([]byte{byte(j)}, j%500)
			}
		}()
	}
	wg.Wait()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	fmt.Println("garbage", keep.count(), stats.NumGC > 2)
}

func web() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	mux := http.NewServeMux()
	mux.HandleFunc("/json", func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(map[string]string{"method": r.Method, "q": r.URL.Query().Get("q")})
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	server := &http.Server{Handler: mux}
	go server.Serve(listener)
	base := "http://" + listener.Addr().String()
	var wg sync.WaitGroup
	answers := make([]string, 40)
	for i := range answers {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			response, err := http.Get(fmt.Sprintf("%s/json?q=%d", base, i))
			check(err)
			body, err := io.ReadAll(response.Body)
			check(err)
			response.Body.Close()
			answers[i] = string(bytes.TrimSpace(body))
		}(i)
	}
	wg.Wait()
	sort.Strings(answers)
	fmt.Println("web", len(answers), answers[0], answers[39])
	large := bytes.Repeat([]byte("0123456789"), 200000)
	response, err := http.Post(base+"/echo", "text/plain", bytes.NewReader(large))
	check(err)
	body, err := io.ReadAll(response.Body)
	check(err)
	fmt.Println("echo", bytes.Equal(body, large))
	client := &http.Client{Timeout: 50 * time.Millisecond}
	_, err = client.Get(base + "/slow")
	fmt.Println("slow", err != nil && os.IsTimeout(err))
	check(server.Shutdown(context.Background()))
	_, err = http.Get(base)
	fmt.Println("closed", err != nil)
}

func sockets() {
	dir, err := os.MkdirTemp("", "go")
	check(err)
	defer os.RemoveAll(dir)
	listener, err := net.Listen("unix", filepath.Join(dir, "s"))
	check(err)
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(c, c); c.Close() }()
		}
	}()
	for i := 0; i < 10; i++ {
		c, err := net.Dial("unix", filepath.Join(dir, "s"))
		check(err)
		fmt.Fprintf(c, "line %d\n", i)
		line, err := bufio.NewReader(c).ReadString('\n')
		check(err)
		if line != fmt.Sprintf("line %d\n", i) {
			fmt.Println("wrong", line)
		}
		c.Close()
	}
	listener.Close()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	check(err)
	c, err := net.Dial("udp", udp.LocalAddr().String())
	check(err)
	c.Write([]byte("datagram"))
	buffer := make([]byte, 100)
	n, _, err := udp.ReadFrom(buffer)
	check(err)
	udp.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	_, _, err = udp.ReadFrom(buffer[n:])
	fmt.Println("sockets", string(buffer[:n]), os.IsTimeout(err))
}

func processes() {
	out, err := exec.Command("sh", "-c", "echo from go; exit 3").Output()
	fmt.Printf("process %q %v\n", out, err)
	command := exec.Command("cat")
	command.Stdin = bytes.NewReader(make([]byte, 500000))
	sum := sha256.New()
	command.Stdout = sum
	check(command.Run())
	fmt.Printf("cat %x\n", sum.Sum(nil)[:8])
	var wg sync.WaitGroup
	for i := 0; i < 10; i++ {
		wg.Add(1)
		go func() { defer wg.Done(); check(exec.Command("true").Run()) }()
	}
	wg.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	fmt.Println("killed", exec.CommandContext(ctx, "sleep", "100").Run())
}

func signals() {
	c := make(chan os.Signal, 10)
	signal.Notify(c, syscall.SIGUSR1, syscall.SIGHUP)
	for i := 0; i < 3; i++ {
		syscall.Kill(os.Getpid(), syscall.SIGUSR1)
		fmt.Println("signal", <-c)
	}
	func() {
		defer func() { fmt.Println("recovered:", recover()) }()
		var p *node
		p.value[0] = 1
	}()
	func() {
		defer func() { fmt.Println("recovered:", recover()) }()
		zero := 0
		fmt.Println(1 / zero)
	}()
	ticker := time.NewTicker(2 * time.Millisecond)
	for i := 0; i < 5; i++ {
		<-ticker.C
	}
	start := time.Now()
	time.Sleep(20 * time.Millisecond)
	fmt.Println("slept", time.Since(start) >= 20*time.Millisecond)
}

func files() {
	dir, err := os.MkdirTemp("", "go")
	check(err)
	defer os.RemoveAll(dir)
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	for i := 0; i < 10000; i++ {
		fmt.Fprintln(w, i)
	}
	w.Close()
	name := filepath.Join(dir, "f.gz")
	check(os.WriteFile(name, packed.Bytes(), 0o640))
	f, err := os.Open(name)
	check(err)
	r, err := gzip.NewReader(f)
	check(err)
	n, err := io.Copy(io.Discard, r)
	check(err)
	info, err := os.Stat(name)
	check(err)
	_, err = os.Stat(filepath.Join(dir, "nothing"))
	fmt.Println("files", n, info.Mode(), os.IsNotExist(err))
	check(filepath.Walk("/usr/share/perl5", func(string, os.FileInfo, error) error { return nil }))
}

func main() {
	goroutines()
	garbage()
	web()
	sockets()
	processes()
	signals()
	files()
	runtime.LockOSThread()
	os.Exit(4)
}
