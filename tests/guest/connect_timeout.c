/* A connection that nobody takes up fails after as many attempts as were asked for. */
#include "t.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

int main(void)
{
	struct sockaddr_in at = { AF_INET, 0, { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof at;
	int listener = MUST(socket(AF_INET, SOCK_STREAM, 0)), once = 1;
	MUST(bind(listener, (void *)&at, sizeof at));
	MUST(listen(listener, 0));
	MUST(getsockname(listener, (void *)&at, &len));
	/* The only place in the queue. */
	int first = MUST(socket(AF_INET, SOCK_STREAM, 0)), second = MUST(socket(AF_INET, SOCK_STREAM, 0));
	MUST(connect(first, (void *)&at, sizeof at));
	MUST(setsockopt(second, IPPROTO_TCP, TCP_SYNCNT, &once, sizeof once));
	long begun = now_ms();
	OK(connect(second, (void *)&at, sizeof at));
	CHECK(now_ms() - begun >= 2500);
	return 0;
}
