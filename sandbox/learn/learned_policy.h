// From the calls that a program made to the smallest policy under which it could make them, as a policy file with the evidence
// behind every line.
#ifndef BROOD_SANDBOX_LEARN_LEARNED_POLICY_H_
#define BROOD_SANDBOX_LEARN_LEARNED_POLICY_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/learn/trace.h"
#include "sandbox/policy.h"

namespace brood {

class LearnedPolicy {
 public:
  void Add(const TracedCall& call);

  // Adds what an earlier file of this kind allows; its evidence stays. `policy` is that file as it was read, `text` its text.
  void Merge(const Policy& policy, std::string_view text);

  // The policy file. `command` is for its first line. Looks at the file system as it is after the run.
  std::string Text(std::string_view command) const;

  // What was used and is in no learnt policy, one line each: attacks on the kernel's surface, datagrams, servers.
  std::vector<std::string> LeftOut() const;

 private:
  struct Evidence {
    std::string first;  // "openat by gzip".
    uint64_t count = 0;
    void Saw(std::string_view what, std::string_view program);
    std::string Text() const;
  };
  struct FileUse {
    bool read = false;
    bool write = false;
    bool makes_entries = false;  // Names in it were made or removed.
    bool lists = false;
    Evidence evidence;
  };
  struct Line {
    std::string rule;
    std::string evidence;
  };

  void UseFile(const TracedCall& call, const std::string& path);
  void UseNetwork(const TracedCall& call);
  std::vector<Line> FileLines() const;
  std::vector<Line> SyscallLines() const;
  std::string NetworkLine() const;

  std::map<std::string, FileUse> files_;
  std::set<std::string> made_;               // Paths that the program made.
  std::map<std::string, Evidence> syscalls_;  // By rule.
  std::map<std::string, Evidence> destinations_;
  std::map<std::string, Evidence> left_out_;
  bool has_server_ = false;
  std::map<std::string, std::string> earlier_;  // Evidence of an earlier file, by rule.
  std::map<std::string, std::string> tmpfs_;    // Rule by path, of an earlier file.
};

}  // namespace brood

#endif  // BROOD_SANDBOX_LEARN_LEARNED_POLICY_H_
