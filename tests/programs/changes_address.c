// Connects to 127.0.0.1 again and again while a thread changes the port in memory from an allowed one to a forbidden one and
// back. Prints how often it was connected.
// usage: changes_address ALLOWED_PORT FORBIDDEN_PORT TIMES
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_in address;
static unsigned short ports[2];
static volatile int done;

static void* Change(void* unused) {
  (void)unused;
  volatile unsigned short* port = &address.sin_port;
  while (!done) {
    *port = ports[0];
    *port = ports[1];
  }
  return NULL;
}

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ports[0] = htons((unsigned short)atoi(argv[1]));
  ports[1] = htons((unsigned short)atoi(argv[2]));
  address.sin_port = ports[0];
  pthread_t thread;
  if (pthread_create(&thread, NULL, Change, NULL) != 0) return 3;
  int connected = 0;
  for (int i = 0; i < atoi(argv[3]); ++i) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr*)&address, sizeof(address)) == 0) ++connected;
    close(fd);
  }
  done = 1;
  pthread_join(thread, NULL);
  printf("%d\n", connected);
  return 0;
}
