// Fills connections to 127.0.0.1 that nobody reads from, tells the kernel that whoever closes one last is to wait, and closes
// each in one thread while another connects it once more, so that whoever looks at it meanwhile is the last. Then sleeps.
// usage: lingers PORT TIMES
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sockaddr_in address;
static volatile int shared = -1;
static volatile int delay;

static void* Close(void* unused) {
  while (shared < 0) {
  }
  for (volatile int i = 0; i < delay; ++i) {
  }
  close(shared);
  return unused;
}

static void TryOnce(void) {
  static char much[1 << 16];
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(fd, (struct sockaddr*)&address, sizeof(address)) != 0) _exit(1);
  while (send(fd, much, sizeof(much), MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
  }
  const struct linger linger = {.l_onoff = 1, .l_linger = 20000};
  if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) != 0) _exit(1);
  pthread_t thread;
  if (pthread_create(&thread, NULL, Close, NULL) != 0) _exit(1);
  shared = fd;
  connect(fd, (struct sockaddr*)&address, sizeof(address));
  pthread_join(thread, NULL);
  _exit(0);
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons((unsigned short)atoi(argv[1]));
  for (int i = 0; i < atoi(argv[2]); ++i) {
    delay = rand() % 30000;
    const pid_t child = fork();
    if (child == 0) TryOnce();
    // One that was the last itself waits for ever.
    int patience = 20;
    while (waitpid(child, NULL, WNOHANG) == 0 && --patience > 0) usleep(1000);
    if (patience == 0) {
      kill(child, SIGKILL);
      waitpid(child, NULL, 0);
    }
  }
  for (;;) pause();
}
