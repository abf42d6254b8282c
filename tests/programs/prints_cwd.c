// Prints its working directory and host name.
#include <stdio.h>
#include <unistd.h>

int main(void) {
  char text[4096];
  printf("cwd %s\n", getcwd(text, sizeof text) != NULL ? text : "unknown");
  printf("host %s\n", gethostname(text, sizeof text) == 0 ? text : "unknown");
  return 0;
}
