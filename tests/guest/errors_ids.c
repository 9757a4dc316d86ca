/* Errors of the calls about ids, groups, capabilities and sessions. bevor-test: user=both */
#include "provoke.h"
#include <linux/capability.h>

static void ids(void)
{
	unsigned id, buf[4];
	E(setuid, "not an id", -1);
	E(setgid, "not an id", -1);
	E(setuid, "own", getuid());
	E(setgid, "own", getgid());
	E(setreuid, "unchanged", -1, -1);
	E(setregid, "unchanged", -1, -1);
	E(setresuid, "unchanged", -1, -1, -1);
	E(setresgid, "unchanged", -1, -1, -1);
	E(getresuid, "bad address", NOWHERE, &id, &id);
	E(getresgid, "bad address", &id, NOWHERE, &id);
	E(getresuid, "fine", &id, &id, &id);
	E(getresgid, "fine", &id, &id, &id);
	E(getgroups, "negative size", -1, buf);
	E(setgroups, "too many", 65537, buf);
	E(getgroups, "only the number", 0, NULL);
	CHILD("as nobody",
	      become_nobody();
	      E(setuid, "another", 5);
	      E(setgid, "another", 5);
	      E(setreuid, "another", 5, -1);
	      E(setregid, "another", -1, 5);
	      E(setresuid, "another", -1, -1, 5);
	      E(setresgid, "another", -1, -1, 5);
	      E(setgroups, "no right", 0, NULL);
	      out("%ld %ld\n", syscall(SYS_setfsuid, 5), syscall(SYS_setfsuid, -1));
	      out("%ld %ld\n", syscall(SYS_setfsgid, 5), syscall(SYS_setfsgid, -1)));
	if (getuid() == 0) {
		unsigned two[2] = { 1, 2 };
		CHILD("groups",
		      E(setgroups, "two", 2, two);
		      E(getgroups, "too small", 1, buf);
		      E(getgroups, "bad address", 2, NOWHERE);
		      E(setgroups, "bad address", 2, NOWHERE));
	}
	/* A user namespace without a map knows no ids. */
	if (getuid() == 0)
		CHILD("no map",
		      MUST(unshare(CLONE_NEWUSER));
		      E(setuid, "no map", 5);
		      E(setgid, "no map", 5);
		      E(setreuid, "no map", 5, 5);
		      E(setregid, "no map", 5, 5);
		      E(setresuid, "no map", 5, 5, 5);
		      E(setresgid, "no map", 5, 5, 5);
		      E(setgroups, "no map", 0, NULL));
}

static void capabilities(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];
	E(capget, "own", &header, data);
	E(capset, "unchanged", &header, data);
	E(capget, "bad header", NOWHERE, data);
	E(capget, "bad data", &header, NOWHERE);
	E(capset, "bad header", NOWHERE, data);
	E(capset, "bad data", &header, NOWHERE);
	header.version = 5;
	E(capget, "strange version", &header, data);
	out("version %x\n", header.version);
	header.version = 5;
	E(capget, "version asked for", &header, NULL);
	header.version = 5;
	E(capset, "strange version", &header, data);
	header = (struct __user_cap_header_struct){ _LINUX_CAPABILITY_VERSION_3, -1 };
	E(capget, "negative pid", &header, data);
	E(capset, "negative pid", &header, data);
	header.pid = INT_MAX;
	E(capget, "no such process", &header, data);
	E(capset, "no such process", &header, data);
	CHILD("another process", header.pid = getppid(); E(capset, "another process", &header, data));
	header.pid = 0;
	CHILD("as nobody",
	      become_nobody();
	      E(capget, "own", &header, data);
	      data[0].permitted = 1;
	      data[0].effective = 1;
	      E(capset, "more than permitted", &header, data));
}

static void sessions(void)
{
	char name[70];
	memset(name, 'x', sizeof name);
	E(getpgrp, "fine");
	E(getpgid, "own", 0);
	E(getpgid, "no such process", INT_MAX);
	E(getsid, "own", 0);
	E(getsid, "no such process", INT_MAX);
	E(setpgid, "negative group", 0, -1);
	E(setpgid, "no such process", INT_MAX, 0);
	CHILD("leader", E(setsid, "fine"); E(setsid, "leads a group");
	      E(setpgid, "leads a session", 0, 0));
	CHILD("foreign group", E(setpgid, "no such group", 0, INT_MAX));
	int ready[2], go[2];
	char byte;
	MUST(pipe(ready));
	MUST(pipe(go));
	pid_t child = fork();
	if (child == 0) {
		char *args[] = { "sh", "-c", "echo >&3; read x <&4", NULL };
		dup2(ready[1], 13);
		dup2(go[0], 14);
		close(ready[0]);
		close(ready[1]);
		close(go[0]);
		close(go[1]);
		dup2(13, 3);
		dup2(14, 4);
		execv("/bin/sh", args);
		_exit(1);
	}
	MUST(read(ready[0], &byte, 1));
	E(setpgid, "has run a program", child, 0);
	MUST(write(go[1], "\n", 1));
	reap("program", child);
	CHILD("as nobody",
	      become_nobody();
	      E(sethostname, "no right", name, 1);
	      E(setdomainname, "no right", name, 1));
	if (getuid() == 0)
		CHILD("names",
		      MUST(unshare(CLONE_NEWUTS));
		      E(sethostname, "fine", "one", 3);
		      E(setdomainname, "fine", "two", 3);
		      E(sethostname, "too long", name, 65);
		      E(setdomainname, "too long", name, 65);
		      E(sethostname, "negative", name, -1);
		      E(setdomainname, "negative", name, -1);
		      E(sethostname, "bad address", NOWHERE, 3);
		      E(setdomainname, "bad address", NOWHERE, 3));
}

int main(void)
{
	ids();
	capabilities();
	sessions();
	return 0;
}
