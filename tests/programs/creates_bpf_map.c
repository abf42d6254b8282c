// Makes a BPF map.
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/programs/attack.h"

int main(void) {
  union bpf_attr attribute;
  memset(&attribute, 0, sizeof attribute);
  attribute.map_type = BPF_MAP_TYPE_ARRAY;
  attribute.key_size = 4;
  attribute.value_size = 4;
  attribute.max_entries = 1;
  return Attempt("make a BPF map", syscall(SYS_bpf, BPF_MAP_CREATE, &attribute, sizeof attribute));
}
