# bevor-test: timeout=240
# java -version and a small program: threads, collections, files, sockets, processes, GC.
java -version 2>&1
cat > T.java <<'J'
import java.io.*; import java.net.*; import java.nio.file.*; import java.util.*; import java.util.concurrent.*; import java.util.concurrent.atomic.*; import java.util.stream.*;
public class T {
    public static void main(String[] a) throws Exception {
        System.out.println("hello " + a.length);
        ExecutorService ex = Executors.newFixedThreadPool(8); List<Future<Long>> fs = new ArrayList<>();
        for (int i = 0; i < 20; i++) { final int n = i; fs.add(ex.submit(() -> { long s = 0; for (int j = 0; j < 200000; j++) s += j % (n + 1); return s; })); }
        long t = 0; for (Future<Long> f : fs) t += f.get(); ex.shutdown(); System.out.println(t + " " + ex.awaitTermination(5, TimeUnit.SECONDS));
        System.out.println(IntStream.range(0, 1000000).parallel().filter(x -> x % 7 == 0).count());
        Map<String, Integer> m = new TreeMap<>(); for (int i = 0; i < 10000; i++) m.merge("k" + i % 13, 1, Integer::sum); System.out.println(m);
        for (int r = 0; r < 50; r++) { byte[][] g = new byte[100][]; for (int i = 0; i < 100; i++) g[i] = new byte[50000]; } System.gc(); System.out.println("gc");
        Path p = Paths.get("file"); Files.write(p, Collections.nCopies(1000, "line")); System.out.println(Files.lines(p).count() + " " + Files.size(p));
        ServerSocket s = new ServerSocket(0, 5, InetAddress.getLoopbackAddress()); Thread th = new Thread(() -> { try (Socket c = s.accept()) { c.getOutputStream().write("over tcp\n".getBytes()); } catch (IOException e) { } }); th.start();
        try (Socket c = new Socket(s.getInetAddress(), s.getLocalPort())) { System.out.println(new BufferedReader(new InputStreamReader(c.getInputStream())).readLine()); } th.join();
        Process pr = new ProcessBuilder("sh", "-c", "echo child; exit 3").start(); System.out.println(new String(pr.getInputStream().readAllBytes()).trim() + " " + pr.waitFor());
        try { Object o = null; o.toString(); } catch (NullPointerException e) { System.out.println("NPE"); }
        try { deep(0); } catch (StackOverflowError e) { System.out.println("overflow"); }
        CountDownLatch l = new CountDownLatch(50); for (int i = 0; i < 50; i++) new Thread(l::countDown).start(); System.out.println(l.await(5, TimeUnit.SECONDS));
        AtomicInteger n = new AtomicInteger(); Timer timer = new Timer(true); timer.schedule(new TimerTask() { public void run() { n.incrementAndGet(); } }, 1, 2); while (n.get() < 5) Thread.sleep(1); System.out.println("timer");
        StringBuilder b = new StringBuilder(); for (int i = 0; i < 100000; i++) b.append(i); System.out.println(b.toString().hashCode());
        System.exit(5);
    }
    static int deep(int x) { return deep(x + 1) + 1; }
}
J
javac T.java && java -cp . T one two; echo $?
java -Xint -cp . T | tail -1; java -XX:+UseSerialGC -Xmx64m -cp . T | head -2
