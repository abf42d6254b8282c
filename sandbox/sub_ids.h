// The ids besides their own that a user was given by the machine's administrator. subuid(5), subgid(5)
#ifndef BROOD_SANDBOX_SUB_IDS_H_
#define BROOD_SANDBOX_SUB_IDS_H_

#include <cstdint>
#include <string>

namespace brood {

struct SubIds {
  uint32_t first_uid = 0;
  uint32_t first_gid = 0;
  uint32_t count = 0;      // Of both; 0: there are none that can be used.
  std::string uid_mapper;  // newuidmap(1), which may map them.
  std::string gid_mapper;
  std::string why;         // There are none,
  std::string remedy;      // and what would change it.
};

// Of the user `uid`. Reads the files anew.
SubIds FindSubIds(uint32_t uid);

}  // namespace brood

#endif  // BROOD_SANDBOX_SUB_IDS_H_
