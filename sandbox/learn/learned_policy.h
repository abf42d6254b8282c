// From the calls that a program made to the smallest policy under which it could make them, as lines of a policy file with the
// evidence behind each.
//
//   LearnedPolicy learned;
//   learned.Add(call);  // Each.
//   std::string text = LearnedPolicy::NewFile();  // Or a file that there is already.
//   BROOD_ASSIGN_OR_RETURN(text, learned.Extend(text, ParsePolicy(text)));
#ifndef BROOD_SANDBOX_LEARN_LEARNED_POLICY_H_
#define BROOD_SANDBOX_LEARN_LEARNED_POLICY_H_

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "sandbox/learn/evidence.h"
#include "sandbox/learn/learned_files.h"
#include "sandbox/learn/trace.h"
#include "sandbox/policy.h"

namespace brood {

class LearnedPolicy {
 public:
  // A policy file that allows nothing but to start and to end.
  static std::string NewFile();

  void Add(const TracedCall& call);

  // The file with what it lacks; what it allows already adds nothing, and no line of it is changed but to make a file
  // writable or to add a destination. `policy` is what `text` means. What a new line of a file that extends a built-in policy
  // replaces there may be needed as well: call it again with the result until nothing is added.
  absl::StatusOr<std::string> Extend(std::string text, const Policy& policy);

  // What was used and is in no learnt policy, or refused by this file, one line each.
  std::vector<std::string> LeftOut() const;

 private:
  struct UsedCall {
    std::string name;
    int64_t number = -1;
    std::array<uint64_t, 6> args = {};  // Of the first.
    bool succeeded = false;             // At least once.
    Evidence evidence;
  };

  void UseNetwork(const TracedCall& call);
  void UseAddress(const TracedCall& call, const std::string& address);
  bool IsOwn(const std::string& address) const;
  std::string AddFiles(std::string text, const Policy& policy);
  std::string AddHostname(std::string text, const Policy& policy);
  absl::StatusOr<std::string> AddSyscalls(std::string text, const Policy& policy);
  std::string AddNetwork(std::string text, const Policy& policy);

  LearnedFiles files_;
  std::map<std::string, UsedCall> syscalls_;  // By rule.
  std::map<std::string, Evidence> destinations_;
  std::set<std::string> own_addresses_;  // Of sockets of the program's own.
  std::map<std::string, Evidence> left_out_;
  std::set<std::string> refused_;  // By the file that was extended.
  Evidence listening_;
  bool listens_ = false;
};

}  // namespace brood

#endif  // BROOD_SANDBOX_LEARN_LEARNED_POLICY_H_
