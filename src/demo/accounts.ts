/** What an app with the scope `identify` can see of a Discord account. */
export type Account = {
  /** The account's snowflake, which is Discord's kind of id. */
  id: string
  username: string
  /** The display name. */
  globalName: string | null
  /** '0', or four digits in old accounts. */
  discriminator: string
  /** Hash of the picture. If there is none, Discord shows a default picture. */
  avatar: string | null
  /** The DiceBear style in which the stand-in draws the picture. */
  pictureStyle?: string
  /** Other fields of Discord's user object, as they are sent. */
  profile?: Record<string, unknown>
}

/** Two ordinary accounts, an old one with a long name, and one without a picture. */
export const demoAccounts: Account[] = [
  {
    id: '816822249063055437',
    username: 'juniper.moss',
    globalName: 'Juniper Moss',
    discriminator: '0',
    avatar: 'b1f3dc0f5c9c9a7a3f1d84f26f3b9a55',
    pictureStyle: 'landscape',
    profile: {
      banner: '5c1f0e3b7a9d4c2e8f6b1a0d3e5c7f92',
      accent_color: 0x3f7d6e,
      avatar_decoration_data: { asset: 'a_6d2b9c4f1e8a7053b6d4f2c1a9e80357', sku_id: '1144058844004233369' },
      collectibles: { nameplate: { palette: 'forest', asset: 'nameplates/fern/', label: '', sku_id: '1' } },
      primary_guild: { identity_guild_id: '1', identity_enabled: true, tag: 'FERN', badge: null },
      premium_type: 2,
    },
  },
  {
    id: '1135723570791055437',
    username: 'ozzy',
    globalName: 'أوزي',
    discriminator: '0',
    avatar: 'af427c453002c6ac0ead01dcb54be0b4',
    pictureStyle: 'fun-emoji',
    profile: {
      accent_color: 0xb3450e,
      avatar_decoration_data: { asset: 'a_6d2b9c4f1e8a7053b6d4f2c1a9e80357', sku_id: '1144058844004233369' },
      collectibles: null,
    },
  },
  {
    id: '146767085568655437',
    username: 'Maximiliane Hohenstaufen-Erbach',
    globalName: null,
    discriminator: '7043',
    avatar: 'a_4a08f9f3039509ca70241ba407d84ba3',
    pictureStyle: 'lorelei',
  },
  { id: '1236467397427855437', username: 'sam_rivers', globalName: 'Sam', discriminator: '0', avatar: null },
]
