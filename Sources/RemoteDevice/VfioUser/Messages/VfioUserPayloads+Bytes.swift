/// Payloads as they are sent, member by member.
extension NativeBytes {
  mutating func append(_ info: VfioUserDeviceInfo) {
    append(info.argumentSize)
    append(info.flags)
    append(info.regionCount)
    append(info.interruptCount)
  }

  mutating func append(_ info: VfioUserInterruptInfo) {
    append(info.argumentSize)
    append(info.flags)
    append(info.index)
    append(info.interruptCount)
  }

  mutating func append(_ access: VfioUserRegionAccess) {
    append(access.offset)
    append(access.region)
    append(access.count)
  }

  mutating func append(_ map: VfioUserDMAMap) {
    append(map.argumentSize)
    append(map.flags)
    append(map.offset)
    append(map.address)
    append(map.size)
  }

  mutating func append(_ unmap: VfioUserDMAUnmap) {
    append(unmap.argumentSize)
    append(unmap.flags)
    append(unmap.address)
    append(unmap.size)
  }

  mutating func append(_ access: VfioUserDMAAccess) {
    append(access.address)
    append(access.count)
  }

  mutating func append(_ feature: VfioUserFeature) {
    append(feature.argumentSize)
    append(feature.flags)
    append(feature.data)
  }

  mutating func append(_ data: VfioUserMigrationData) {
    append(data.argumentSize)
    append(data.size)
    append(data.data)
  }
}
