// The arguments of a system call in words: as strace(1) shows them, for whoever reads why a program was ended.
//
//   DecodeArguments("socket", {1, 526337}, {})  ->  {"AF_UNIX", "SOCK_STREAM|SOCK_CLOEXEC|SOCK_NONBLOCK", "0"}
#ifndef BROOD_LAUNCHER_DECODED_ARGUMENTS_H_
#define BROOD_LAUNCHER_DECODED_ARGUMENTS_H_

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace brood {

// What an argument points to: text without its zero byte, or a socket address.
struct PointedTo {
  std::string bytes;
  bool cut = false;  // There is more of it.
};

// As many as the call has; nothing if it is not known here. `texts` by argument; a pointer without one is shown as a number.
// Nothing but printable ASCII, whatever the texts are.
std::vector<std::string> DecodeArguments(std::string_view syscall, const std::array<uint64_t, 6>& args,
                                         const std::map<unsigned, PointedTo>& texts);

}  // namespace brood

#endif  // BROOD_LAUNCHER_DECODED_ARGUMENTS_H_
