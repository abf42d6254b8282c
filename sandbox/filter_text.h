// A filter as people read it: one instruction a line, with the names of the numbers.
//
//   0003  ld nr
//   0004  jge 157 goto 12                ; prctl
//   0012  return errno EPERM
#ifndef BROOD_SANDBOX_FILTER_TEXT_H_
#define BROOD_SANDBOX_FILTER_TEXT_H_

#include <linux/filter.h>

#include <string>
#include <vector>

namespace brood {

// Lines that end with a line feed.
std::string DisassembleFilter(const std::vector<sock_filter>& filter);

}  // namespace brood

#endif  // BROOD_SANDBOX_FILTER_TEXT_H_
