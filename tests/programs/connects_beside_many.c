// Has COUNT threads wait for a connection to 127.0.0.1 SILENT, where nobody answers, then connects to 127.0.0.1 PORT and prints what it
// reads there, or a failure as its negative errno.
// usage: connects_beside_many SILENT COUNT PORT
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_in silent;
static atomic_int failed;

static struct sockaddr_in To(const char* port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(port))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

static void* Wait(void* begun) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  (void)!write(*(int*)begun, "", 1);
  if (connect(fd, (struct sockaddr*)&silent, sizeof(silent)) != 0) ++failed;
  return NULL;
}

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  silent = To(argv[1]);
  struct sockaddr_in address = To(argv[3]);
  const int count = atoi(argv[2]);
  int begun[2];
  if (pipe(begun) != 0) return 3;
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 65536);
  for (int i = 0; i < count; ++i) {
    pthread_t thread;
    char byte;
    if (pthread_create(&thread, &small, Wait, &begun[1]) != 0 || read(begun[0], &byte, 1) != 1) return 4;
  }
  // Whoever was before us has its answer, or waits: calls come to whom they are told in their order.
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  char text[64];
  if (connect(fd, (struct sockaddr*)&address, sizeof(address)) != 0) {
    printf("%d\n", -errno);
    return 0;
  }
  const ssize_t length = read(fd, text, sizeof(text));
  printf("%d wait\n%.*s", count - failed, (int)(length > 0 ? length : 0), text);
  return 0;
}
