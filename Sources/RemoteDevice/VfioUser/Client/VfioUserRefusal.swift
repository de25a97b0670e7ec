/// Why a server does not get what it asks for, as an `errno`.
struct VfioUserRefusal: Error, Equatable {
  let errorNumber: Int32
}
