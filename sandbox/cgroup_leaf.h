// Makes room for the cgroups of children in a version 2 group that this process has for itself.
//
// A group that hands controllers to groups below it holds no processes itself (cgroups(7), "no internal processes"). So
// a program that was started alone in a group of its own, as `systemd-run --scope -p Delegate=yes` does it, moves into a
// group below that one, and its children get their groups beside it.
//
// For programs that own their process, such as the brood command. Never called by the library: an embedder's process is
// not ours to move.
#ifndef BROOD_SANDBOX_CGROUP_LEAF_H_
#define BROOD_SANDBOX_CGROUP_LEAF_H_

#include <string>
#include <vector>

namespace brood {

class CgroupLeaf {
 public:
  // Moves this process, if that helps: it is alone in its version 2 group, may write there, and the group has
  // controllers to hand down. Otherwise changes nothing. Must come before the first look at ThisMachine(), whose
  // `why_not` tells what is still missing.
  CgroupLeaf();
  CgroupLeaf(const CgroupLeaf&) = delete;
  CgroupLeaf& operator=(const CgroupLeaf&) = delete;

  // Moves it back and leaves the group as it was found, if no child is left.
  ~CgroupLeaf();

 private:
  void Leave();

  std::string group_;  // Empty: nothing was done.
  std::string leaf_;
  std::vector<std::string> enabled_;
};

}  // namespace brood

#endif  // BROOD_SANDBOX_CGROUP_LEAF_H_
