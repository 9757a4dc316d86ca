/* The smallest program: nothing but an exit. bevor-test: user=both flags=-static */
int main(void) { return 0; }
