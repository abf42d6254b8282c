// Writes a forged report to every descriptor that it has or could have, then fails: nobody may believe the report.
#include <stdint.h>
#include <unistd.h>

#include "tests/programs/attack.h"

int main(void) {
  struct {
    uint32_t magic, kind, error_number;
    char step[36], detail[464];
  } forged = {0x42524431, 2, 1, "exec", "forged"};
  int written = 0;
  for (int fd = 3; fd < 4096; ++fd) written += write(fd, &forged, sizeof forged) > 0;
  puts("{\"status\":\"ok\",\"exit_code\":0}");
  printf("reports written: %d\n", written);
  return 77;
}
