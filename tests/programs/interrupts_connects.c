// Connects to 127.0.0.1 again and again, while a timer interrupts it all the time. Prints how often connect(2) was interrupted.
// usage: interrupts_connects PORT TIMES
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static void Nothing(int number) { (void)number; }

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  struct sigaction action = {.sa_handler = Nothing};
  const struct itimerval often = {{0, 50}, {0, 50}};
  if (sigaction(SIGALRM, &action, NULL) != 0 || setitimer(ITIMER_REAL, &often, NULL) != 0) return 3;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[1]))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int interrupted = 0;
  for (int i = 0; i < atoi(argv[2]); ++i) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr*)&address, sizeof(address)) != 0 && errno == EINTR) ++interrupted;
    close(fd);
  }
  const struct itimerval never = {0};
  setitimer(ITIMER_REAL, &never, NULL);
  printf("%d\n", interrupted);
  return 0;
}
