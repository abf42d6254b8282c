// For tests: which fields a schema has, and which of them a buffer sets. A field that was added to a schema and
// forgotten by what writes it is in the first set only.
//
//   EXPECT_EQ(SetFields(bytes, fbs::OutcomeTypeTable()), FieldsOf(fbs::OutcomeTypeTable()));
//
// A field is named by its path, "usage.wall_ns"; the members of a union by their type, "ending.Exited.code". One that
// has its default value counts as not set. Trusts the buffer: verify it first.
#ifndef BROOD_SERIALIZATION_FIELD_COVERAGE_H_
#define BROOD_SERIALIZATION_FIELD_COVERAGE_H_

#include <set>
#include <string>
#include <string_view>

#include "flatbuffers/flatbuffers.h"

namespace brood {

// All fields of a schema's root type. Recursive types are not supported.
std::set<std::string> FieldsOf(const flatbuffers::TypeTable* type);

// Those that the buffer sets; of a vector, those that any of its elements sets.
std::set<std::string> SetFields(std::string_view bytes, const flatbuffers::TypeTable* type);

}  // namespace brood

#endif  // BROOD_SERIALIZATION_FIELD_COVERAGE_H_
