/* What the loopback does, over the host's. bevor-test: user=both do=--net,host */
#include "inet_loopback.c"
