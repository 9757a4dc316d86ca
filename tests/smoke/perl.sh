# bevor-test: timeout=60
# perl: files, fork, pipes, sockets, signals, regular expressions.
perl -e 'print "hello ", 6 * 7, "\n"'
cat > p.pl <<'P'
use strict; use warnings; use IO::Handle; use POSIX qw(:sys_wait_h); use Socket; use File::Temp qw(tempfile); use Time::HiRes qw(usleep);
$| = 1;
my %h = map { $_ => length } qw(one three eleven); print join(",", map { "$_=$h{$_}" } sort keys %h), "\n";
my $pid = fork; if (!$pid) { exit 9 } waitpid $pid, 0; print "child ", $? >> 8, "\n";
pipe my $r, my $w; if (!fork) { close $r; print $w "line $_\n" for 1 .. 1000; exit } close $w; my @l = <$r>; wait; print scalar(@l), " lines\n";
local $SIG{ALRM} = sub { die "alarm\n" }; eval { alarm 1; select undef, undef, undef, 5; }; print $@;
local $SIG{USR1} = sub { print "usr1\n" }; kill USR1 => $$;
socketpair my $a, my $b, AF_UNIX, SOCK_STREAM, PF_UNSPEC; $a->autoflush; print $a "through\n"; print scalar <$b>;
my $out = `echo back; exit 3`; print $out, $? >> 8, "\n";
open my $f, '+>', 'data' or die; print $f "abc\n" x 1000; seek $f, 0, 0; my $n = 0; $n++ while <$f>; print "$n\n"; print -s 'data', "\n";
my $text = join ' ', 1 .. 5000; my $c = () = $text =~ /\b\d*7\b/g; print "$c\n";
my @s = sort { $b <=> $a } map { ($_ * 7919) % 10007 } 1 .. 5000; print "@s[0..2]\n";
socket my $srv, PF_INET, SOCK_STREAM, getprotobyname('tcp') // 6; bind $srv, sockaddr_in(0, INADDR_LOOPBACK); listen $srv, 1; my ($port) = sockaddr_in(getsockname $srv);
if (!fork) { socket my $s, PF_INET, SOCK_STREAM, 6; connect $s, sockaddr_in($port, INADDR_LOOPBACK); syswrite $s, "tcp\n"; exit } accept my $cl, $srv; print scalar <$cl>; wait;
my ($fh, $name) = tempfile(DIR => '.'); print "temp ", (-e $name ? 1 : 0), "\n"; unlink $name; opendir my $d, '.'; print join(' ', sort grep { !/^\./ } readdir $d), "\n";
print "done\n";
P
perl p.pl
