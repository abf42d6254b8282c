#include "sandbox/notice_child.h"

#include <cstring>

namespace brood::child {

uint32_t RunFilter(const sock_filter* filter, size_t length, const seccomp_data& call) {
  uint32_t value = 0;
  for (size_t at = 0; at < length; ++at) {
    const sock_filter& i = filter[at];
    switch (i.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        if (i.k > sizeof(call) - sizeof(value)) return NoticeAction(Notice::kViolation);
        memcpy(&value, reinterpret_cast<const char*>(&call) + i.k, sizeof(value));
        break;
      case BPF_ALU | BPF_AND | BPF_K:
        value &= i.k;
        break;
      case BPF_JMP | BPF_JA:
        at += i.k;
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
        at += value == i.k ? i.jt : i.jf;
        break;
      case BPF_JMP | BPF_JGT | BPF_K:
        at += value > i.k ? i.jt : i.jf;
        break;
      case BPF_JMP | BPF_JGE | BPF_K:
        at += value >= i.k ? i.jt : i.jf;
        break;
      case BPF_RET | BPF_K:
        return i.k;
      default:
        // None that brood makes.
        return NoticeAction(Notice::kViolation);
    }
  }
  return NoticeAction(Notice::kViolation);
}

}  // namespace brood::child
