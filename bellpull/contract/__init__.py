"""What travels between gateway and agents, complete and pure: the only part that other software imports.

`message` is the envelope, `event` what a gateway says, `report` what an agent says, in the words of `word`;
`seal` vouches for the bytes, `routing` addresses them, `cursor` and `ids` name them. `standing` is what an agent is
told of its rights, `patterns` what they are written in.
"""
